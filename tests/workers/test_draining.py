"""TERM: a dispatcher ends in good order, within bounds, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tests.helpers import wait_until
from tests.workers.conftest import ASYNC, held_by
from tests.world import World


def test_a_dispatcher_that_is_told_to_end_finishes_what_runs_and_claims_nothing_new(
    fresh_world: Callable[..., World],
):
    # Given a dispatcher with a running task on the only slot, and another one that waits
    world = fresh_world()
    dispatcher = world.dispatcher("d1", ready=False)
    world.instance("a", ASYNC)
    world.tenant("acme")
    runs = world.submit("acme", {"sleep": 3})
    wait_until(lambda: world.state(runs.id) == "RUNNING", description="it runs", timeout=15)
    waits = world.submit("acme", {})
    children = psutil.Process(dispatcher.pid).children(recursive=True)
    # When it is told to end
    dispatcher.terminate()
    # Then it ends by itself with 0, once the running task is done
    assert dispatcher.wait(15) == 0
    assert runs.get(timeout=1) == {"attempt": 1, "instance": "a"}
    # And the other one still waits; no lease, no slot, no process is left
    assert world.state(waits.id) == "WAITING"
    assert world.leases() == {}
    for used in world.runtime.registry.slots_used(instance_id="a"):
        assert world.runtime.store.run(used) == 0
    assert not [child for child in children if child.is_running()]
    # And the next dispatcher runs it
    world.dispatcher("d2", ready=False)
    assert waits.get(timeout=15)["attempt"] == 1


def test_what_outlasts_the_drain_is_adopted_by_another_dispatcher(
    fresh_world: Callable[..., World],
):
    # Given two dispatchers with a second's patience; the first holds tasks that run for longer
    world = fresh_world(drain_timeout_s=1)
    for name in ("d1", "d2"):
        world.dispatcher(name, ready=False)
    world.instance("a", ASYNC, "--capacity", "20", ready=False)
    world.tenant("acme")
    results = held_by(world, "d1", 2, {"sleep": 6})
    first = world.processes["d1"]
    # When it is told to end
    began = time.monotonic()
    first.terminate()
    # Then it ends with 0 soon after its patience does
    assert first.wait(15) == 0
    assert time.monotonic() - began < 5
    # And the other one has the tasks, still in their first attempt, started once
    wait_until(
        lambda: {world.owner(result.id) for result in results} == {"d2"},
        description="d2 owns both",
    )
    for result in results:
        assert result.get(timeout=15) == {"attempt": 1, "instance": "a"}
        assert len(world.starts(result.id)) == 1
    assert len(world.leases()) == 1


def test_a_second_term_does_not_wait(fresh_world: Callable[..., World]):
    # Given a dispatcher that drains: its task runs for a minute
    world = fresh_world()
    dispatcher = world.dispatcher("d1", ready=False)
    world.instance("a", ASYNC)
    world.tenant("acme")
    result = world.submit("acme", {"first": 60})
    wait_until(lambda: world.state(result.id) == "RUNNING", description="it runs", timeout=15)
    dispatcher.terminate()
    wait_until(lambda: "shutdown" in dispatcher.text().lower(), description="it drains")
    # When it is told again
    time.sleep(0.5)
    dispatcher.terminate()
    # Then it ends at once, and the task is still there for the next one
    dispatcher.wait(10)
    assert world.state(result.id) == "RUNNING"
