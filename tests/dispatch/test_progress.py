"""Progress: the newest words of what runs, and of nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.dispatcher import Dispatcher, Ending
from godel_tasks.dispatch.flights import Flight, Flights
from godel_tasks.dispatch.progress import KEEP_TEXT, ProgressWriter
from godel_tasks.domain.attempt import Progress
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.errors import StoreError, StoreUnavailable
from godel_tasks.events import Event, TaskProgressed
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.simulated import SimulatedDriver, SimulatedNetwork
from godel_tasks.instances.drivers.simulated_endpoint import Act, SimulatedEndpoint
from godel_tasks.store.command import Command
from godel_tasks.store.executor import Executor
from godel_tasks.store.progress import Said
from godel_tasks.store.records import HeldTask, Record
from tests.helpers import wait_until_async


def _flight(flights: Flights, task_id: str) -> Flight:
    record = Record(task_id, "acme", "shared.0", 1, 1, 1, 1, 0, 0, TaskBody(b"{}"))
    held = HeldTask(1, 1, "gw-1", 1, "d1/0", 100.0, 1, record)
    flight = Flight(0, held, "h:1", may_have_run=True)
    flights.add(flight)
    return flight


async def test_the_newest_words_of_running_attempts_are_kept(ports: Ports) -> None:
    # Given two attempts that run, and one that is being settled
    flights = Flights()
    told: list[Event] = []
    ports.bus.subscribe(told.append, TaskProgressed)
    writer = ProgressWriter(ports, flights)
    one, two, ended = (_flight(flights, name) for name in ("one", "two", "ended"))
    ended.settling = True
    # When they speak, one of them often
    for words in ("a", "a b", "a b c"):
        writer.add(one, Progress("one", 1, "gw-1", words))
    writer.add(two, Progress("two", 1, "gw-1", "x" * (KEEP_TEXT + 5)))
    writer.add(ended, Progress("ended", 1, "gw-1", "late"))
    running = asyncio.ensure_future(writer.run())
    progress = ports.cells[0].progress

    async def written() -> Said | None:
        return await ports.store.run(progress.get("two"))

    # Then the newest is kept, the end of it where it is long, with a time to live
    long = await wait_until_async(written, description="it is written")
    assert len(long.text) == KEEP_TEXT
    short = await ports.store.run(progress.get("one"))
    assert short is not None
    assert (short.text, short.attempt, short.instance_id) == ("a b c", 1, "gw-1")
    assert await ports.store.run(progress.get("ended")) is None
    # And whoever watches is told how much was said, not what
    lengths = {e.task_id: e.characters for e in told if isinstance(e, TaskProgressed)}
    assert lengths == {"one": 5, "two": KEEP_TEXT + 5}
    await end_task(running)


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreError("refused")], ids=str)
async def test_words_that_cannot_be_written_are_dropped(ports: Ports, error: StoreError) -> None:
    # Given a store that does not answer, or refuses, the first time
    class Away:
        calls = 0

        async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
            self.calls += 1
            if self.calls == 1:
                raise error
            return await ports.store.pipeline(commands)

    away = Away()
    flights = Flights()
    writer = ProgressWriter(replace(ports, store=cast("Executor", away)), flights)
    flight = _flight(flights, "one")
    writer.add(flight, Progress("one", 1, "gw-1", "words"))
    running = asyncio.ensure_future(writer.run())
    await wait_until_async(lambda: away.calls, description="it was tried")
    assert not running.done()
    # When more is said, then that is written
    writer.add(flight, Progress("one", 1, "gw-1", "words, words"))
    assert await _written(ports, "one") == "words, words"
    await end_task(running)


async def test_half_a_character_keeps_nobody_elses_words_from_being_written(ports: Ports) -> None:
    # Given an attempt whose text ends in the middle of a pair of surrogates, and another one
    flights = Flights()
    writer = ProgressWriter(ports, flights)
    writer.add(_flight(flights, "odd"), Progress("odd", 1, "gw-1", "so " + chr(0xD83D)))
    writer.add(_flight(flights, "even"), Progress("even", 1, "gw-1", "so " + chr(0x1F600)))
    running = asyncio.ensure_future(writer.run())
    # Then both are kept
    assert await _written(ports, "even") == "so " + chr(0x1F600)
    assert await _written(ports, "odd") == "so ?"
    await end_task(running)


async def test_what_a_running_attempt_says_is_told_by_its_dispatcher(ports: Ports) -> None:
    # Given a dispatcher, and an instance whose attempts speak and go on
    tale = Act(says=("Once", "Once upon"), hangs=True)
    config = InstanceConfig("gw-1", "sim://a", driver="simulated")
    endpoint = SimulatedEndpoint("sim://a", [config], lambda _payload, _context: tale, ports.clock)
    driver = SimulatedDriver(SimulatedNetwork([endpoint]), ports.clock, ports.rng)
    told: list[Event] = []
    ports.bus.subscribe(told.append, TaskProgressed)
    ours = replace(ports, driver_named=lambda _name: driver, waker=_Asleep())
    await _house(ours, config)
    dispatcher = Dispatcher(ours, DispatchConfig(), "d1")
    running = asyncio.ensure_future(dispatcher.run())
    try:
        # Then the newest of what it said can be read
        assert await _written(ports, "t1") == "Once upon"
        # And of what others say of it, be it an attempt of before or another instance, nothing
        endpoint.tell(Progress("t1", 1, "gw-1", "and so on"))
        endpoint.tell(Progress("t1", 0, "gw-1", "an older tale"))
        endpoint.tell(Progress("t1", 1, "gw-2", "another tale"))
        await wait_until_async(lambda: len(told) == 2, description="it was told twice")
        assert await _written(ports, "t1") == "and so on"
    finally:
        dispatcher.stop(patience_s=0)
        assert await running is Ending.DRAINED
        endpoint.crash()


class _Asleep:
    """Is never woken: a task that waits already is found without."""

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        await asyncio.Event().wait()
        return None


async def _house(ports: Ports, config: InstanceConfig) -> None:
    """An instance that is alive, and a task."""
    run, registry, cell = ports.store.run, ports.registry, ports.cells[0]
    await run(cell.tenants.put(TenantConfig("acme")))
    generation = await run(registry.register(config))
    assert generation == 1
    await run(registry.attend(instance_ids=["gw-1"], lease_ms=60_000, event="instance.registered"))
    task = NewTask("t1", 2, "0", "", encode_body(TaskBody(b"{}")))
    await run(cell.queue.submit(tenant_id="acme", tasks=[task], check_settled=False))


async def _written(ports: Ports, task_id: str) -> str:
    """What is written of a task, once something is."""

    async def look() -> Said | None:
        return await ports.store.run(ports.cells[0].progress.get(task_id))

    return (await wait_until_async(look, description=f"{task_id} has said something")).text
