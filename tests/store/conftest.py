"""A cell of a real server for each test, and a look at what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from godel_tasks.store.executor import SyncExecutor, connect_sync
from tests.cell import Cell
from tests.keyleaks import leaks


@pytest.fixture
def cell(redis_url: str) -> Iterator[Cell]:
    """An empty cell; after the test no key may stand that the key table does not allow."""
    client = connect_sync(redis_url)
    yield Cell(SyncExecutor(client))
    assert leaks(client) == []
    client.close()
