"""The life of an instance process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from godel_tasks.clock import SystemClock
from godel_tasks.domain.attempt import End
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import StoreUnavailable, WorkerError
from godel_tasks.instances.drivers.grpc import GrpcDriver
from godel_tasks.instances.handlers import Handler
from godel_tasks.instances.server.process import STALE_LIMIT, InstanceProcess, ProcessOptions
from godel_tasks.instances.server.registrar import Heartbeat
from tests.helpers import wait_until_async
from tests.instances.sites import (
    CAPACITY,
    GENERATION,
    IDS,
    FixedRegistrar,
    Listener,
    Workload,
    delivery,
)

WAIT = b'{"wait": "gate", "return": "late"}'


class Life:
    """A process with fast heartbeats, and a connection to it."""

    def __init__(self, **options: Any) -> None:
        self.work = Workload()
        self.registrar = FixedRegistrar()
        self.options = ProcessOptions(
            [InstanceConfig(name, "", capacity=CAPACITY) for name in IDS],
            Handler.of(self.work),
            heartbeat_every_s=0.01,
            **options,
        )
        self.process = InstanceProcess(self.options, self.registrar, SystemClock())
        self.listener = Listener()

    async def connect(self) -> None:
        self.connection = GrpcDriver().open_connection(
            InstanceConfig("a-1", self.process.endpoint), self.listener
        )
        await self.connection.start()
        await wait_until_async(lambda: self.connection.connected, description="connected")

    async def run_one(self) -> None:
        """One attempt under way."""
        self.connection.deliver([delivery("t", WAIT)])
        await wait_until_async(lambda: self.work.calls, description="running")

    async def end(self) -> None:
        if hasattr(self, "connection"):
            await self.connection.stop()
        await self.process.stop()


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    made = Life(drain_timeout_s=5.0)
    yield made
    await made.end()


async def test_a_process_registers_where_it_listens_and_sends_heartbeats(life: Life) -> None:
    # When it starts, twice
    await life.process.stop()
    await life.process.start()
    await life.process.start()
    # Then its instances are registered once, with the port that it got
    assert life.registrar.registrations == 1
    assert {c.endpoint for c in life.registrar.configs} == {life.process.endpoint}
    assert not life.process.endpoint.endswith(":0")
    # And heartbeats follow, with what it knows of itself
    await wait_until_async(lambda: life.registrar.beats, description="a heartbeat")
    beats = life.registrar.beats[0]
    assert [(b.instance_id, b.generation, b.draining) for b in beats] == [
        (name, GENERATION, False) for name in IDS
    ]
    assert beats[0].metrics.completed_tasks == 0


async def test_a_registration_that_is_over_is_made_again(life: Life) -> None:
    # Given a process with an attempt under way
    await life.process.start()
    await life.connect()
    await life.run_one()
    # When the registry declared it dead
    life.registrar.stale = True
    await wait_until_async(lambda: life.registrar.registrations == 2, description="again")
    # Then it serves under the new generation only, and what ran is still known
    life.connection.deliver([delivery("u"), delivery("v", generation=GENERATION + 1)])
    assert (await life.listener.completion("u:1")).error_type == "OtherGeneration"
    assert (await life.listener.completion("v:1")).end is End.OK
    life.work.gate("gate").set()
    assert (await life.listener.completion("t:1")).end is End.OK
    assert life.work.calls.count("t:1") == 1


async def test_a_process_gives_up_when_its_registration_is_taken_again_and_again(
    life: Life,
) -> None:
    class Contested(FixedRegistrar):
        async def register(self, configs: Sequence[InstanceConfig]) -> dict[str, int]:
            answer = await super().register(configs)
            self.stale = self.registrations > 1
            return answer

    registrar = Contested()
    process = InstanceProcess(life.options, registrar, SystemClock())
    failed = await process.start()
    registrar.stale = True
    async with asyncio.timeout(5):
        error = await failed
    assert "--id" in str(error)
    assert registrar.registrations == 1 + STALE_LIMIT
    await process.stop()


async def test_a_registry_that_does_not_answer_does_not_stop_the_work(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a registry that is away for some heartbeats
    class Absent(FixedRegistrar):
        away = 3

        async def heartbeat(self, beats: Sequence[Heartbeat]) -> None:
            self.away -= 1
            if self.away >= 0:
                raise StoreUnavailable("connection refused")
            await super().heartbeat(beats)

    registrar = Absent()
    life.process = InstanceProcess(life.options, registrar, SystemClock())
    await life.process.start()
    await wait_until_async(lambda: registrar.beats, description="a heartbeat at last")
    # Then it served all along, and said so once
    await life.connect()
    life.connection.deliver([delivery("t", b"1")])
    assert (await life.listener.completion("t:1")).end is End.OK
    assert [r.levelname for r in caplog.records].count("WARNING") == 1


async def test_a_drained_process_finishes_refuses_and_deregisters(life: Life) -> None:
    # Given an attempt under way
    await life.process.start()
    await life.connect()
    await life.run_one()
    # When the process drains
    drained = asyncio.create_task(life.process.drain())
    await wait_until_async(
        lambda: life.registrar.beats and life.registrar.beats[-1][0].draining, description="told"
    )
    life.connection.deliver([delivery("u")])
    assert (await life.listener.completion("u:1")).error_type == "Draining"
    assert not drained.done()
    # Then it waits for what runs
    life.work.gate("gate").set()
    await drained
    assert (await life.listener.completion("t:1")).end is End.OK
    # And deregisters when it stops
    await life.process.stop()
    await life.process.stop()
    assert life.registrar.deregistered == dict.fromkeys(IDS, GENERATION)


async def test_what_a_drain_cannot_wait_for_is_told_to_be_lost() -> None:
    life = Life(drain_timeout_s=0.05)
    await life.process.start()
    await life.connect()
    await life.run_one()
    await life.process.drain()
    await life.process.stop()
    assert (await life.listener.completion("t:1")).end is End.LOST
    await life.end()


async def test_a_port_in_use_is_told(life: Life) -> None:
    await life.process.start()
    port = int(life.process.endpoint.rpartition(":")[2])
    second = Life(port=port)
    with pytest.raises(WorkerError, match="--port 0"):
        await second.process.start()
    await second.end()
    assert second.registrar.registrations == 0
