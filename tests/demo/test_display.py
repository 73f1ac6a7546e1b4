"""What a person sees: every tenant, lane, instance and figure is on the screen."""

from __future__ import annotations

import io
import re

from rich.console import Console, RenderableType

from godel_tasks.demo import display


def seen(thing: RenderableType) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(thing)
    return console.export_text()


def test_the_live_view_shows_everything_and_the_last_events() -> None:
    # Given a moment of the demo with a dead instance and more events than there is room for
    snapshot: display.Snapshot = {
        "phase": "killed i2",
        "elapsed_s": 7.25,
        "submitted": 3000,
        "settled": 1200,
        "throughput_per_s": 165.5,
        "tenants": [
            {
                "name": "acme",
                "weight": 4,
                "waiting": 1234,
                "running": 8,
                "settled": 700,
                "share": 0.57,
                "wait_s": 17.4,
            },
            {
                "name": "bolt",
                "weight": 1,
                "waiting": 5,
                "running": 0,
                "settled": 0,
                "share": None,
                "wait_s": None,
            },
        ],
        "lanes": [
            {"tenant": "acme", "level": "high", "waiting": 34},
            {"tenant": "bolt", "level": "low", "waiting": 5},
        ],
        "instances": [
            {
                "id": "i1",
                "region": "eu",
                "status": "up",
                "health": "healthy",
                "made": False,
                "running": 3,
                "capacity": 4,
                "completed": 600,
            },
            {
                "id": "i2",
                "region": "us",
                "status": "dead",
                "health": "healthy",
                "made": False,
                "running": 0,
                "capacity": 4,
                "completed": 99,
            },
        ],
        "dispatchers": [
            {"name": "dispatcher1", "status": "up", "holds": 13},
            {"name": "dispatcher2", "status": "killed", "holds": 0},
        ],
        "events": [f"event {n}" for n in range(10)],
        "why": "least-loaded: i1 (load 0.75)",
    }
    # When it is drawn
    screen = seen(display.live(snapshot))
    # Then all of it is there
    for words in ("1,200 of 3,000 settled", "acme", "1,234", "57.0%", "80.0%", "killed i2", "17 s"):
        assert words in screen
    assert "■■■·" in screen
    assert "dead" in screen
    assert "dispatcher1 up, holds 13" in screen
    assert "dispatcher2 killed" in screen
    # And how the last tick was routed
    assert "routed: least-loaded: i1 (load 0.75)" in screen
    # And a lane that nobody waits in shows 0
    assert re.search(r"high +34 +0\b", screen)
    assert re.search(r"low +0 +5\b", screen)
    # And it fits a terminal
    assert len(screen.splitlines()) <= 24
    # And only the newest events
    assert "event 9" in screen
    assert "event 5" not in screen


def test_the_closing_table_shows_the_checkers_figures() -> None:
    # Given a report of the checker
    report = {
        "submitted": 3000,
        "succeeded": 2999,
        "failed": 0,
        "lost": 1,
        "duplicates": 0,
        "reruns": 7,
        "seconds": 20.04,
        "throughput_per_s": 149.7,
        "tenants": {"acme": {"weight": 4, "share_under_contention": 0.5712, "succeeded": 1000}},
        "instances": {"i1": {"completed": 600}},
        "killed": {"instance": "i2", "dispatcher": "dispatcher1@here"},
        "recovery_s": 3.21,
    }
    # Then its figures are on the screen, and nothing fails where there is none
    screen = seen(display.closing(report))
    for words in ("3,000", "57.1%", "100.0%", "20.0", "150 tasks/s", "dispatcher1@here", "3.2 s"):
        assert words in screen
    nothing = report | {"throughput_per_s": None, "recovery_s": None, "tenants": {}, "killed": {}}
    assert "what the journals say" in seen(display.closing(nothing))


def test_before_anything_happened_there_is_something_to_draw() -> None:
    empty: display.Snapshot = {
        "phase": "starting",
        "elapsed_s": 0,
        "submitted": 0,
        "settled": 0,
        "throughput_per_s": 0,
        "tenants": [],
        "lanes": [],
        "instances": [],
        "dispatchers": [],
        "events": [],
        "why": "least-loaded: i1 (load 0.75)",
    }
    assert "0 of 0 settled" in seen(display.live(empty))
