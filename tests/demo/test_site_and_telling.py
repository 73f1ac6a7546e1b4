"""A folder and an environment of its own; a picture on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import os
import stat

import pytest
from rich.console import Console

from godel_tasks.demo import display
from godel_tasks.demo.site import Site, own_environment
from godel_tasks.demo.telling import Telling
from godel_tasks.settings import load_settings


def snapshot(elapsed_s: float) -> display.Snapshot:
    return {
        "phase": "all wait",
        "elapsed_s": elapsed_s,
        "submitted": 3000,
        "settled": 1200,
        "throughput_per_s": 165.5,
        "tenants": [
            {
                "name": "gold",
                "weight": 4,
                "waiting": 1234,
                "running": 8,
                "settled": 700,
                "share": 0.57,
                "wait_s": 7,
            },
        ],
        "lanes": [],
        "instances": [],
        "dispatchers": [],
        "events": [],
        "why": "least-loaded: i1 (load 0.75)",
    }


def test_two_demos_share_nothing_and_know_no_other_godel(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given somebody's own settings, wrong ones among them
    monkeypatch.setenv("GODEL_REDIS_URL", "redis://elsewhere/0")
    monkeypatch.setenv("GODEL_NO_SUCH_SETTING", "1")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere/1")
    before = dict(os.environ)
    one, other = Site.fresh(), Site.fresh()
    assert one.root != other.root
    assert stat.S_IMODE(one.root.stat().st_mode) == 0o700
    # When the demo looks for settings, it finds its own
    with own_environment(one):
        settings = load_settings()
    assert (settings.data_dir, settings.redis_url, settings.broker_url) == (one.server, "", "")
    # Then the environment is as it was, and nothing is left
    assert dict(os.environ) == before
    one.remove()
    other.remove()
    assert not one.root.exists()


def test_without_a_terminal_there_is_a_line_every_two_seconds() -> None:
    out = io.StringIO()
    telling = Telling(Console(file=out, width=60))
    with telling.live():
        for elapsed_s in (0.0, 0.2, 1.9, 2.1, 2.3):
            telling.show(snapshot(elapsed_s))
        telling.event("  2.3 s  kill -9 of instance eu-1")
    # Then lines are whole, however narrow the console is
    first, second, event = out.getvalue().splitlines()
    assert "1,200 of 3,000 settled, 166/s  gold 1,234 waiting (57%)" in first
    assert second.startswith("  2.1 s")
    assert event.endswith("kill -9 of instance eu-1")


def test_on_a_terminal_there_is_a_picture_and_no_lines() -> None:
    out = io.StringIO()
    telling = Telling(Console(file=out, width=120, force_terminal=True))
    with telling.live():
        telling.show(snapshot(1.0))
        telling.event("an event that the picture shows by itself")
    assert "gold" in out.getvalue()
    assert "by itself" not in out.getvalue()
