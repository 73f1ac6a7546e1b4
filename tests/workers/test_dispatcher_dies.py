"""A dispatcher is killed, or stands still, while it holds running tasks."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.helpers import wait_until
from tests.workers.conftest import ASYNC, held_by
from tests.world import World


def test_a_killed_dispatchers_tasks_are_adopted_and_not_run_again(
    fresh_world: Callable[..., World],
):
    # Given two dispatchers, of which the first holds three running tasks
    world = fresh_world()
    for name in ("d1", "d2"):
        world.dispatcher(name, ready=False)
    world.instance("a", ASYNC, "--capacity", "20", ready=False)
    world.tenant("acme")
    results = held_by(world, "d1", 3, {"sleep": 5})
    first = world.processes["d1"]
    # When it is killed
    first.kill()
    killed_at = time.monotonic()
    # Then the other one has them within 5 s
    wait_until(
        lambda: {world.owner(result.id) for result in results} == {"d2"},
        description="d2 owns all three",
        timeout=10,
    )
    assert time.monotonic() - killed_at < 5
    # And the runs went on: their answers are those of the first attempt, which started once
    for result in results:
        assert result.get(timeout=15) == {"attempt": 1, "instance": "a"}
        assert len(world.starts(result.id)) == 1
    assert "dispatcher.reaped" in world.processes["d2"].text()
    assert len(world.leases()) == 1


def test_a_dispatcher_that_stood_still_for_20_s_settles_nothing_that_is_not_its_own(
    fresh_world: Callable[..., World],
):
    # Given two dispatchers and an instance of eight slots
    world = fresh_world()
    for name in ("d1", "d2"):
        world.dispatcher(name, ready=False)
    world.instance("a", ASYNC, "--capacity", "8", ready=False)
    world.tenant("acme")
    # Where the first one holds running tasks: one ends while it stands still, one after
    results = held_by(world, "d1", 1, {"sleep": 3}) + held_by(world, "d1", 1, {"sleep": 23})
    first = world.processes["d1"]
    # When it stands still for 20 s, with its completions and its lease over
    first.stall()
    stopped_at = time.monotonic()
    while time.monotonic() < stopped_at + 20:
        results.append(world.submit("acme", {"sleep": 0.2}))
        time.sleep(0.25)
    # Then the other one went on without it, and took over what it held
    wait_until(
        lambda: "d1" not in {world.owner(result.id) for result in results},
        description="the first one holds nothing",
    )
    # And when it comes back, it finds that its lease is over, and starts under a new name
    first.resume()
    first.wait_for("ending=stale")
    wait_until(lambda: len(world.leases()) == 2, description="both have leases", timeout=10)
    for result in results:
        assert result.get(timeout=15)["attempt"] == 1
    # And no task was started twice, no instance ran more than it can, all counts agree
    assert all(len(world.starts(result.id)) == 1 for result in results)
    assert most_at_once(world, "a") <= 8
    wait_until(lambda: world.unsettled() == 0, description="the others are done", timeout=30)
    status = world.tenant_status("acme")
    assert (status.succeeded, status.depth, status.in_flight) == (status.submitted, 0, 0)


def most_at_once(world: World, instance: str) -> int:
    """By the order of the lines in the instance's journal."""
    running, most = 0, 0
    for line in world.journal():
        if line["instance"] == instance:
            running += 1 if line["event"] == "start" else -1
            most = max(most, running)
    return most
