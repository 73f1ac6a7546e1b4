"""An instance whose heartbeats go on, and that no dispatcher can get to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from benchmarks.blackhole import Blackhole
from benchmarks.faults import BEHIND, HERE, free_port
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World


class Wire:
    """A wire to the port of an instance that can be cut, on a loop of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._wire = Blackhole((BEHIND, self.port), (HERE, self.port))
        self.heal()

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._wire.cut)

    def heal(self) -> None:
        self._loop.call_soon_threadsafe(self._wire.heal)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._wire.close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def test_what_ran_there_runs_elsewhere_and_nothing_new_is_sent_until_it_is_back(
    fresh_world: Callable[..., World], wire: Wire
):
    # Given an instance behind a wire that runs a task of each choice, with room for more
    world = fresh_world(unreachable_after_s=1)
    world.dispatcher("d1", ready=False)
    flags = ("--capacity", "3", "--port", str(wire.port), "--advertise", BEHIND)
    far = world.instance("far", ASYNC, *flags)
    world.tenant("acme")
    retried = world.submit("acme", {"first": 30})
    held = world.submit("acme", {"first": 30}, on_uncertain="hold")
    for result in (retried, held):
        wait_until(
            lambda result=result: world.state(result.id) == "RUNNING",  # type: ignore[misc]
            description="it runs",
            timeout=15,
        )
    world.instance("near", ASYNC, "--capacity", "3")
    # When the wire is cut
    wire.cut()
    cut_ms = time.time() * 1000
    # Then `retry` runs on the other one, long before its attempt's time is up
    assert retried.get(timeout=20) == {"attempt": 2, "instance": "near"}
    assert world.starts(retried.id)[1]["at"] - cut_ms < 10_000
    # And `hold` is held with the reason, although its instance lives
    wait_until(lambda: world.state(held.id) == "ON_HOLD", description="it is on hold")
    cell = world.runtime.cells[0]
    evidence = world.runtime.store.run(cell.lookup.evidence(held.id))
    assert "out of its dispatcher's reach for" in evidence
    assert far.alive
    # And the slots stay in use, as those runs may go on
    assert slots(world, "far") == (0, 2)
    # And new tasks do not wait for it
    more = [world.submit("acme", {"sleep": 0}) for _ in range(6)]
    assert [result.get(timeout=5)["instance"] for result in more] == ["near"] * 6
    # When it is back, then what runs there for nobody is stopped, and it is used again
    wire.heal()
    wait_until(lambda: slots(world, "far") == (0, 0), description="its slots are free", timeout=15)
    ends = [line for line in world.journal(retried.id) if line["event"] == "end"]
    assert {line["instance"]: line["end"] for line in ends} == {"near": "ok", "far": "cancelled"}

    def used() -> bool:
        return bool(world.submit("acme", {"sleep": 0}).get(timeout=5)["instance"] == "far")

    wait_until(used, description="it is used again", timeout=15)
    assert world.runtime.store.run(cell.queue.resolve(task_id=held.id, verdict="fail")) == "ok"


def slots(world: World, instance_id: str) -> tuple[int, int]:
    """How many are held, and how many orphaned."""
    held, orphaned = world.runtime.registry.slots_used(instance_id=instance_id)
    return world.runtime.store.run(held), world.runtime.store.run(orphaned)
