"""One pair of gateways for all of these tests: they take half a minute to start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from godel_tasks.embedded.guard import Guard
from tests.openclaw.real.pair import Pair, start_pair, stop_pair
from tests.openclaw.real.site import RealGatewaySite

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.openclaw)
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    guard = Guard(grace_s=5)
    made = start_pair(tmp_path_factory.mktemp("real"), guard)
    yield made
    stop_pair(made)
    guard.close()


@pytest.fixture
async def site(pair: Pair) -> AsyncIterator[RealGatewaySite]:
    """The first of the two, with nothing of ours running on it."""
    made = RealGatewaySite(pair)
    await made.open()
    yield made
    await made.close()
