"""Real dispatchers through interleavings that no test could wait for: see `tests.simulation`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
import redis

from godel_tasks.store.executor import SyncExecutor, connect_sync
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.process import SimProcess
from tests.simulation.scenario import play_round

#: One seeded run of `make test`; `python -m tests.simulation` goes on from here.
SEEDS = range(1, 61)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    client = connect_sync(redis_url)
    yield client
    client.flushdb()
    client.close()


@pytest.mark.timeout(300)
def test_whatever_dies_or_stalls_every_task_ends_once(client: redis.Redis) -> None:
    # Given rounds of producers, dispatchers and instances, with faults that the seed chooses
    executor = SyncExecutor(client)
    reports = [play_round(seed, client, executor) for seed in SEEDS]
    # Then each held what must hold
    assert [str(report) for report in reports if report.problems] == []
    # And they were worth playing: there were deaths, stalls, and many tasks
    assert sum(report.deaths for report in reports) > 20
    assert sum(report.tasks for report in reports) > 700


def test_a_round_is_made_from_its_seed(client: redis.Redis) -> None:
    executor = SyncExecutor(client)
    told: list[list[str]] = [[], []]
    for tale in told:
        play_round(3, client, executor, tale.append)
    assert told[0] == told[1]
    assert len(told[0]) > 50


# ------------------------------------------------------------------------ the frame itself


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop(random.Random(1))
    yield loop
    loop.close()


def test_time_jumps(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == pytest.approx(86_400)


def test_waiting_for_ever_is_told(loop: VirtualLoop) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(forever())
    with pytest.raises(Stuck):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))


def test_a_stalled_process_goes_on_where_it_was(loop: VirtualLoop) -> None:
    # Given a process that ticks every second
    ticks: list[float] = []

    async def tick() -> None:
        for _ in range(4):
            await asyncio.sleep(1)
            ticks.append(loop.time())

    process = SimProcess(loop, "p")
    task = process.spawn(tick())
    # When it is stopped from 1.5 s to 5.5 s
    loop.call_at(1.5, process.stall)
    loop.call_at(5.5, process.resume)
    loop.run_until_complete(task)
    # Then its timer of 2 s fires late, and the others follow
    assert ticks == pytest.approx([1, 5.5, 6.5, 7.5])


def test_a_killed_process_does_nothing_more(loop: VirtualLoop) -> None:
    # Given a process with a cleanup
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            said.append("cleanup")

    process = SimProcess(loop, "p")
    task = process.spawn(work())
    # When it is killed
    loop.call_at(1, process.kill)
    loop.run_until_complete(asyncio.sleep(100))
    # Then nothing of it ran, until the round clears it away
    assert said == []
    assert process.clear_away() == [task]
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    assert said == ["cleanup"]
