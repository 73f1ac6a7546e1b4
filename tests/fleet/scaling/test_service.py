"""The control job: it says that it is time to look, and never waits for instances."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from godel_tasks.domain.breaker import BreakerState
from godel_tasks.domain.scaling import ScalingPolicy
from godel_tasks.errors import StoreUnavailable
from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.scaling_reader import ScalingReader, open_providers
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.scaling import ScalingCommands
from godel_tasks.worker import scaling
from tests.fleet.scaling.scaled import POOL, PlayedFleet
from tests.helpers import wait_until


class House:
    """A runtime, and a fleet whose instances take until they are let come up."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.fleet = PlayedFleet()
        self.cancelled = threading.Event()
        self._let: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    @asynccontextmanager
    async def open(self, runtime: Runtime) -> AsyncIterator[AutoScaler]:
        gate = self.fleet.gate = asyncio.Event()
        self._let = asyncio.get_running_loop(), gate
        store = runtime.async_store()
        reader = ScalingReader(store, runtime.cells, self.fleet)
        scaler = AutoScaler(store, self.fleet, reader)
        try:
            yield scaler
        finally:
            await scaler.aclose()
            await store.close()
            self.cancelled.set()

    def let_come_up(self) -> None:
        assert self._let is not None
        loop, gate = self._let
        loop.call_soon_threadsafe(gate.set)

    def want(self, least: int) -> None:
        policy = ScalingPolicy(POOL, min_instances=least, max_instances=9)
        self.runtime.store.run(ScalingCommands().put_policies([policy]))


@pytest.fixture
def house(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    runtime = Runtime(load_settings(redis_url=redis_url, data_dir=tmp_path))
    made = House(runtime)
    monkeypatch.setattr(scaling, "open_autoscaler", made.open)
    yield made
    scaling.stop_scaling(runtime)
    runtime.store.close()


def test_without_a_policy_nothing_is_started(house: House) -> None:
    assert scaling.scale(house.runtime) == 0
    assert "godel-scaling" not in [thread.name for thread in threading.enumerate()]


def test_a_job_does_not_wait_for_instances_to_come_up(house: House) -> None:
    # Given instances that take their time
    house.want(2)
    assert scaling.scale(house.runtime) == 2
    wait_until(lambda: house.fleet.spawns == 2, description="both are being made")
    # When jobs come meanwhile, then they look, begin nothing, and end
    assert [scaling.scale(house.runtime) for _ in range(3)] == [0, 0, 0]
    # And it goes on once they are there
    house.let_come_up()
    wait_until(lambda: len(house.fleet.names()) == 2, description="they are up")
    house.want(3)
    wait_until(lambda: scaling.scale(house.runtime) == 1, description="another one is asked for")


def test_it_ends_with_its_worker_also_in_the_middle_of_a_spawn(house: House) -> None:
    house.want(1)
    assert scaling.scale(house.runtime) == 1
    scaling.stop_scaling(house.runtime)
    assert house.cancelled.is_set()
    # And a second stop has nothing to do
    scaling.stop_scaling(house.runtime)


def test_a_store_that_is_away_is_an_error_of_the_job(tmp_path: Path) -> None:
    runtime = Runtime(load_settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path))
    with pytest.raises(StoreUnavailable):
        scaling.scale(runtime)


async def test_open_providers_are_those_whose_breakers_let_not_everything_through(
    house: House,
) -> None:
    store, breakers = house.runtime.async_store(), BreakerCommands()
    try:
        assert await open_providers(store) == frozenset()
        for name in ("provider:acme", "provider:other/large", "instance:gw-1"):
            await store.run(breakers.enlist(name))
            await store.run(breakers.force(name, state=BreakerState.FORCED_OPEN, who="ops"))
        await store.run(breakers.enlist("provider:fine"))
        assert await open_providers(store) == {"acme", "other/large"}
    finally:
        await store.close()
