"""Dispatchers in front of two real gateways: killed, restarted, adopted, drained."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.instances.drivers.openclaw.credentials import resolve
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.handshake import ADMIN, SCOPES
from godel_tasks.openclaw.registering import register_instance
from godel_tasks.store.registry import record_of
from tests.helpers import wait_until
from tests.openclaw.real.pair import Pair
from tests.world import World


class Fleet(World):
    """A world whose instances are the pair's gateways."""

    pair: Pair

    def add(self, name: str) -> None:
        register_instance(self.runtime, self.pair.config(name))

    def record(self, name: str) -> Any:
        fields = self.runtime.store.run(self.runtime.registry.fields(instance_id=name))
        return record_of(name, fields, 0)

    def alive(self, name: str) -> bool:
        fleet = self.runtime.store.run(self.runtime.registry.fleet())
        return fleet.leases.get(name, 0) > fleet.now_ms

    def until_up(self, name: str, *, generation: int = 0) -> None:
        wait_until(
            lambda: self.alive(name) and self.record(name).generation > generation,
            description=f"{name} is up",
            timeout=60,
        )


@pytest.fixture
def fleet(pair: Pair, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path, on_uncertain="retry") as world:
        world.pair = pair
        world.tenant("acme")
        asyncio.run(pair.start("gw-1"))
        asyncio.run(pair.start("gw-2"))
        yield world


def _running(fleet: Fleet, pair: Pair, text: str) -> bool:
    return pair.model.calls_of(text) > 0


def test_a_dispatchers_death_starts_no_turn_again(fleet: Fleet, pair: Pair) -> None:
    # Given a turn under way, for one dispatcher of two
    fleet.add("gw-1")
    fleet.dispatcher("d1")
    fleet.until_up("gw-1")
    result = fleet.submit("acme", "[[latency=8]] [[reply=late]] to be adopted")
    wait_until(lambda: _running(fleet, pair, "to be adopted"), description="runs", timeout=20)
    # When its dispatcher is killed, and another one is there
    fleet.dispatcher("d2")
    fleet.processes["d1"].kill()
    # Then the run is adopted: one attempt, one call of the model
    assert result.get(timeout=40)["text"] == "late"
    assert (result.attempts, result.instance) == (1, "gw-1")
    assert pair.model.calls_of("to be adopted") == 1
    usage = result.usage
    assert usage is not None
    assert usage["output_tokens"] == 1


def test_a_killed_gateways_turns_move_and_what_it_resumes_is_aborted(
    fleet: Fleet, pair: Pair
) -> None:
    # Given turns on both gateways
    fleet.add("gw-1")
    fleet.add("gw-2")
    fleet.dispatcher("d1")
    fleet.until_up("gw-1")
    fleet.until_up("gw-2")
    before = fleet.record("gw-1")
    long = "[[latency=9]] [[reply=moved 0]] to be moved 0."
    pinned = fleet.submit("acme", long, instance="gw-1")
    free = [
        fleet.submit("acme", f"[[latency=4]] [[reply=moved {n}]] to be moved {n}.")
        for n in (1, 2, 3)
    ]
    wait_until(
        lambda: all(_running(fleet, pair, f"to be moved {n}.") for n in range(4)),
        description="all run",
        timeout=30,
    )
    on_first = [result for result in free if result.instance == "gw-1"]
    # When one gateway is killed
    os.kill(pair.pid("gw-1"), signal.SIGKILL)
    # Then its turns run on the other one
    for n, result in enumerate(free, 1):
        assert result.get(timeout=60)["text"] == f"moved {n}"
    # (or had ended just before)
    ways = {(result.instance, result.attempts) for result in on_first}
    assert ways <= {("gw-2", 2), ("gw-1", 1)}
    assert not fleet.alive("gw-1")
    # And when it comes back, what it took up by itself is aborted before it gets new work
    asyncio.run(pair.start("gw-1"))
    fleet.until_up("gw-1", generation=before.generation)
    after = fleet.record("gw-1")
    assert after.boot_id != before.boot_id
    assert after.strays_aborted >= 1
    # And what waited for it alone has run there once more
    assert pinned.get(timeout=60)["text"] == "moved 0"
    assert pinned.attempts == 2


def test_a_gateway_that_is_told_to_end_finishes_its_turns(fleet: Fleet, pair: Pair) -> None:
    # Given a turn under way on the only gateway
    fleet.add("gw-1")
    fleet.dispatcher("d1")
    fleet.until_up("gw-1")
    generation = fleet.record("gw-1").generation
    result = fleet.submit("acme", "[[latency=4]] [[reply=in time]] while it drains")
    wait_until(lambda: _running(fleet, pair, "while it drains"), description="runs", timeout=20)
    # When it is told to end, and more is submitted
    os.kill(pair.pid("gw-1"), signal.SIGTERM)
    later = fleet.submit("acme", "[[reply=after]] after it drained")
    # Then the turn ends, at the cost of one attempt
    assert result.get(timeout=40)["text"] == "in time"
    assert result.attempts == 1
    # And what came too late waited, and cost no attempt either
    wait_until(lambda: not pair.runs("gw-1"), description="it has ended", timeout=30)
    asyncio.run(pair.start("gw-1"))
    fleet.until_up("gw-1", generation=generation)
    assert later.get(timeout=40)["text"] == "after"
    assert later.attempts == 1


def test_a_restart_by_request_spends_no_attempt(fleet: Fleet, pair: Pair) -> None:
    # Given a turn under way, and tasks that come all the time
    fleet.add("gw-1")
    fleet.dispatcher("d1")
    fleet.until_up("gw-1")
    boot = fleet.record("gw-1").boot_id
    first = fleet.submit("acme", "[[latency=3]] [[reply=first]] through a restart")
    wait_until(lambda: _running(fleet, pair, "through a restart"), description="runs", timeout=20)

    async def restart() -> None:
        config = pair.configs["gw-1"]
        gateway = await Gateway.connect(
            config.endpoint, resolve(config.credentials), (*SCOPES, ADMIN)
        )
        serving = asyncio.ensure_future(gateway.serve(lambda _name, _text: None))
        await gateway.call("gateway.restart.request", {"reason": "a story"})
        await gateway.close()
        await serving

    # When the gateway is asked to restart
    asyncio.run(restart())
    results = [fleet.submit("acme", f"[[reply=r{n}]] restarted {n}") for n in range(3)]
    # Then all of them end in one attempt each
    assert first.get(timeout=60)["text"] == "first"
    assert [r.get(timeout=90)["text"] for r in results] == ["r0", "r1", "r2"]
    assert {r.attempts for r in (first, *results)} == {1}
    # And it has restarted, and serves again
    wait_until(
        lambda: fleet.record("gw-1").boot_id != boot and fleet.alive("gw-1"),
        description="another boot serves",
        timeout=60,
    )
    assert fleet.submit("acme", "[[reply=well]] restarted").get(timeout=40)["text"] == "well"


def test_a_running_turn_is_cancelled_on_its_gateway(fleet: Fleet, pair: Pair) -> None:
    fleet.add("gw-1")
    fleet.dispatcher("d1")
    fleet.until_up("gw-1")
    result = fleet.submit("acme", "[[hang]] to be cancelled")
    wait_until(lambda: _running(fleet, pair, "to be cancelled"), description="runs", timeout=20)
    fleet.cancel(result.id)
    with pytest.raises(Exception, match="cancelled by story"):
        result.get(timeout=20)
    assert str(result.state) == "REVOKED"
    assert fleet.state(result.id) == ""
