"""What a person reads before and after the demo with gateways, and what is refused."""

from __future__ import annotations

import io
import subprocess
from typing import Any

import pytest
from rich.console import Console

from godel_tasks.demo.openclaw import telling
from godel_tasks.demo.openclaw.display import closing
from godel_tasks.demo.openclaw.plan import GatewaysPlan
from godel_tasks.demo.processes import GODEL


def report(**changes: Any) -> dict[str, Any]:
    row = {"weight": 4.0, "share_under_contention": 0.571, "succeeded": 20, "tasks": 21}
    return {
        "submitted": 60,
        "succeeded": 59,
        "failed": 0,
        "lost": 1,
        "duplicates": 0,
        "reruns": 4,
        "adopted": 3,
        "aborted_after_restart": 5,
        "model_calls": 64,
        "seconds": 57.8,
        "killed": {"dispatcher": "dispatcher2", "instance": "gw-2"},
        "recovery_s": 8.35,
        "pinned_s": None,
        "tokens": 9060,
        "cost_usd": 0.01386,
        "tenants": {"gold": row | {"tokens": 9060, "cost_usd": 0.01386}},
        "instances": {"gw-1": {"completed": 42}, "gw-2": {"completed": 17}},
    } | changes


def test_the_closing_tables_show_every_figure() -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(closing(report()))
    text = console.export_text()
    for words in (
        "submitted              60", "lost                   1", "adopted                3",
        "aborted after restart  5", "calls of the stand-in  64",
        "killed dispatcher      dispatcher2",
        "recovery               8.3 s", "sessions waited        -", "gold", "57.1%", "9,060",
        "$0.0139", "gw-1", "42", "17",
    ):  # fmt: skip
        assert words in text, text


def test_it_says_aloud_that_nobody_real_answers() -> None:
    assert "STAND-IN" in telling.STANDIN
    assert "no key" in telling.STANDIN
    assert "made up" in telling.STANDIN
    # And what was shown, with the figures
    words = telling.shown(report())
    assert "59 of 60" in words
    assert "dispatcher2 and gw-2" in words
    assert "stand-in's count" in words


def test_one_gateway_is_told_as_one() -> None:
    assert "one real OpenClaw gateway " in telling.before(GatewaysPlan(1))
    assert "3 real OpenClaw gateways " in telling.before(GatewaysPlan(3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--openclaw", "2", "--versus", "celery"), "goes without --versus"),
        (("--openclaw", "0"), "greater than or equal to 1"),
        (("--openclaw", "9"), "less than or equal to 8"),
        (("--openclaw", "2", "--tasks", "5"), "less than 45"),
        (("--openclaw", "2", "--picture", "a.svg"), "for --versus celery"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(options: tuple[str, ...], words: str) -> None:
    done = subprocess.run([*GODEL, "demo", *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr, done.stderr
