"""Progress: the newest words of what runs, and of nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.flights import Flight, Flights
from godel_tasks.dispatch.progress import KEEP_TEXT, ProgressWriter
from godel_tasks.domain.attempt import Progress
from godel_tasks.domain.task import TaskBody
from godel_tasks.errors import StoreUnavailable
from godel_tasks.events import Event, TaskProgressed
from godel_tasks.instances.background import end_task
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


async def test_words_that_cannot_be_written_are_dropped(ports: Ports) -> None:
    # Given a store that is away
    class Away:
        calls = 0

        async def pipeline(self, commands: object) -> object:
            self.calls += 1
            raise StoreUnavailable("away")

    away = Away()
    flights = Flights()
    gone = replace(ports, store=cast("Executor", away))
    writer = ProgressWriter(gone, flights)
    writer.add(_flight(flights, "one"), Progress("one", 1, "gw-1", "words"))
    running = asyncio.ensure_future(writer.run())
    await wait_until_async(lambda: away.calls, description="it was tried")
    assert not running.done()
    await end_task(running)
