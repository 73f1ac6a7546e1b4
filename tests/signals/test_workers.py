"""Receivers that real workers import hear of what these workers publish."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.helpers import wait_until
from tests.world import World

RECEIVERS = ("-I", "tests.signals.receivers")


def test_each_process_tells_what_it_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a dispatcher and a worker for control jobs, which import a user's receivers
    told = tmp_path / "told.jsonl"
    told.touch()
    monkeypatch.setenv("SIGNALS_TO", str(told))

    def lines() -> list[list[str]]:
        return [json.loads(line) for line in told.read_text().splitlines()]

    with World(tmp_path / "world") as world:
        command = [sys.executable, "-m", "celery", "-A", "workers.control", "worker", "-n", "c1@%h"]
        control = world.spawn("c1", [*command, "--without-gossip", "--without-mingle", *RECEIVERS])
        world.instance("gw", "tests.workers.handlers:act", ready=False)
        world.tenant("acme")
        # When a task that waits is cancelled, and the job publishes that
        waiting = world.submit("acme", {})
        world.cancel(waiting.id)
        control.wait_for("ready")
        world.app.send_task("godel.control.reap", queue="godel.control", ignore_result=True)
        wait_until(lambda: len(lines()) == 1, description="the job's signal", timeout=20)
        # And another one runs, and its dispatcher is told to stop at once
        dispatcher = world.dispatcher("d1", *RECEIVERS)
        ran = world.submit("acme", {})
        assert ran.get(timeout=20)["instance"] == "gw"
        dispatcher.terminate()
        assert dispatcher.wait() == 0
    # Then each process told of its own, and nobody of a run
    (first, second) = lines()
    assert first[:2] == ["revoked", waiting.id]
    assert first[2].startswith("c1@")
    assert second[:2] == ["success", ran.id]
    assert second[2].startswith("d1@")
