"""What the demo says of its growing fleet: each thing once, and none left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from godel_tasks.demo.growing import Growth
from godel_tasks.demo.plan import POLICY
from godel_tasks.domain.scaling import ScalingAct, ScalingKind
from godel_tasks.embedded import Guard
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[AsyncExecutor]:
    made = AsyncExecutor(connect_async(redis_url))
    yield made
    await made.close()


async def test_two_acts_of_one_millisecond_are_both_told_and_none_twice(
    store: AsyncExecutor, tmp_path: Path
) -> None:
    # Given acts of one and the same millisecond
    commands = ScalingCommands()
    token = (await store.run(commands.lead(owner="a", lease_ms=60_000))).token

    async def act(kind: ScalingKind, name: str, what: str) -> None:
        entry = ScalingEntry(token, act=ScalingAct(5, kind, name, what))
        record = commands.record(token=token, pool=POLICY.pool, state=None, entries=[entry])
        assert await store.run(record)

    guard = Guard()
    growth = Growth(store, tmp_path, guard)
    try:
        assert await growth.look() == []
        await act(ScalingKind.OUT, "i1", "spawned")
        # When a look comes between them
        first = await growth.look()
        await act(ScalingKind.OUT, "i2", "spawned")
        # Then each is told once, and counted once
        assert len(first) == 1
        assert await growth.look() == [first[0].replace("i1", "i2")]
        assert await growth.look() == []
        await act(ScalingKind.IN, "i1", "removed")
        assert len(await growth.look()) == 1
        assert growth.grown == ["i2"]
        assert growth.figures() == {"scaled_out": 2, "scaled_in": 1, "grown_at_once": 2}
    finally:
        guard.close()
