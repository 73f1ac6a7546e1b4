"""An instance's process hangs: its breaker opens, and one probe finds out that it is back."""

from __future__ import annotations

import time
from collections.abc import Callable

from godel_tasks.domain.breaker import BreakerSnapshot, BreakerState
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.command import plain
from godel_tasks.store.keys import REGISTRY_EVENTS
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World


def _breaker(world: World) -> BreakerSnapshot:
    return world.runtime.store.run(BreakerCommands().read("instance:shaky"))


def _told(world: World) -> list[str]:
    """Events of breakers in the registry's stream."""
    entries = world.runtime.store.run(
        plain("XRANGE", REGISTRY_EVENTS, "-", "+", decode=lambda reply: reply)
    )
    kinds = [fields[b"event"].decode() for _, fields in entries]
    return [kind for kind in kinds if kind.startswith("breaker.")]


def test_a_process_that_hangs_opens_its_breaker_and_comes_back_by_one_probe(
    fresh_world: Callable[..., World],
) -> None:
    # Given an instance that runs six tasks, and two others beside it
    world = fresh_world(breaker_open_s=3, breaker_half_open_permits=1, breaker_success_threshold=1)
    world.dispatcher("d1", ready=False)
    shaky = world.instance("shaky", ASYNC, "--capacity", "6")
    world.tenant("acme")
    results = [world.submit("acme", {"first": 60}) for _ in range(6)]
    for result in results:
        wait_until(
            lambda result=result: world.state(result.id) == "RUNNING",  # type: ignore[misc]
            description="it runs",
            timeout=15,
        )
    for name in ("steady-1", "steady-2"):
        world.instance(name, ASYNC, "--capacity", "4")
    # When its process hangs
    shaky.stall()
    # Then its breaker opens, and its tasks run elsewhere
    wait_until(
        lambda: _breaker(world).state is BreakerState.OPEN,
        description="its breaker opens",
        timeout=15,
    )
    assert _breaker(world).failures >= 5
    for result in results:
        answer = result.get(timeout=15)
        assert answer["attempt"] == 2
        assert answer["instance"].startswith("steady")
    # When it goes on, its time is up, and four tasks are for it alone
    shaky.resume()
    wait_until(
        lambda: _breaker(world).state is BreakerState.HALF_OPEN,
        description="it may be probed",
        timeout=15,
    )
    began = time.time() * 1000
    pinned = [world.submit("acme", {"sleep": 1}, instance="shaky") for _ in range(4)]
    for result in pinned:
        assert result.get(timeout=20)["instance"] == "shaky"
    # Then one went first, and the others when it had gone well
    starts = sorted(world.starts(result.id)[0]["at"] for result in pinned)
    assert starts[0] >= began
    assert starts[1] - starts[0] >= 1000
    assert starts[3] - starts[1] < 1000
    assert _breaker(world).state is BreakerState.CLOSED
    # And whoever follows the registry's events heard of each step once
    wait_until(lambda: "breaker.closed" in _told(world), description="it is told")
    assert sorted(_told(world)) == ["breaker.closed", "breaker.half_opened", "breaker.opened"]
