"""A pool to scale, on the session's server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from godel_tasks.store.executor import SyncExecutor, connect_sync
from tests.cell import Cell
from tests.fleet.scaling.scaled import ScaledPool
from tests.keyleaks import leaks


@pytest.fixture
async def scaled(redis_url: str) -> AsyncIterator[ScaledPool]:
    """After the test no key may stand that the key table does not allow."""
    client = connect_sync(redis_url)
    pool = ScaledPool(Cell(SyncExecutor(client)), redis_url)
    yield pool
    await pool.aclose()
    assert leaks(client) == []
    client.close()
