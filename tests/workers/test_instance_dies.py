"""An instance is killed while it runs tasks: what follows is the task's choice."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from godel_tasks.errors import AttemptUncertain
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World

CHOICES = ("retry", "hold", "fail")


def test_what_ran_on_a_killed_instance_runs_elsewhere_is_held_or_fails(
    fresh_world: Callable[..., World],
):
    # Given an instance that runs a task of each choice, and another one beside it
    world = fresh_world()
    world.dispatcher("d1", ready=False)
    doomed = world.instance("doomed", ASYNC, "--capacity", "3")
    world.tenant("acme")
    results = {
        choice: world.submit("acme", {"first": 60}, on_uncertain=choice) for choice in CHOICES
    }
    for result in results.values():
        wait_until(
            lambda result=result: world.state(result.id) == "RUNNING",  # type: ignore[misc]
            description="it runs",
            timeout=15,
        )
    world.instance("other", ASYNC, "--capacity", "3")
    # When the instance is killed
    doomed.kill()
    killed_ms = time.time() * 1000
    # Then `retry` is on the other one within 5 s, as a second attempt
    assert results["retry"].get(timeout=15) == {"attempt": 2, "instance": "other"}
    assert world.starts(results["retry"].id)[1]["at"] - killed_ms < 5000
    # And `fail` failed with the reason
    with pytest.raises(AttemptUncertain, match="may have run: doomed: its heartbeats stopped"):
        results["fail"].get(timeout=15)
    # And `hold` is kept with the evidence, until a person decides
    held = results["hold"].id
    wait_until(lambda: world.state(held) == "ON_HOLD", description="it is on hold")
    cell = world.runtime.cells[0]
    evidence = world.runtime.store.run(cell.lookup.evidence(held))
    assert "attempt 1 on doomed" in evidence
    assert "its heartbeats stopped" in evidence
    assert len(world.starts(held)) == 1
    assert world.runtime.store.run(cell.queue.resolve(task_id=held, verdict="retry")) == "ok"
    assert results["hold"].get(timeout=10)["attempt"] == 2


def test_an_instance_that_is_back_before_it_is_missed_does_not_hide_what_it_ran(
    fresh_world: Callable[..., World],
):
    # Given an instance that runs a task which must not run twice, and two that may
    world = fresh_world()
    world.dispatcher("d1", ready=False)
    port = str(free_port())
    instance = world.instance("quick", ASYNC, "--capacity", "3", "--port", port)
    world.tenant("acme")
    results = {
        choice: world.submit("acme", {"first": 60}, on_uncertain=choice) for choice in CHOICES
    }
    for result in results.values():
        wait_until(
            lambda result=result: world.state(result.id) == "RUNNING",  # type: ignore[misc]
            description="it runs",
            timeout=15,
        )
    # When it is killed and is back at the same address, long before its lease is over
    instance.kill()
    instance.start()
    # Then what it ran counts as lost all the same
    assert results["retry"].get(timeout=15) == {"attempt": 2, "instance": "quick"}
    with pytest.raises(AttemptUncertain):
        results["fail"].get(timeout=10)
    held = results["hold"].id
    wait_until(lambda: world.state(held) == "ON_HOLD", description="it is on hold")
    assert len(world.starts(held)) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
