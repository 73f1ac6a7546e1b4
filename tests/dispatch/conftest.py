"""Ports of a dispatcher on a real server, with nobody to wake and nothing to publish."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from godel_tasks.clock import SystemClock
from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.events import EventBus
from godel_tasks.instances.drivers import driver_named
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.registry import RegistryCommands


class _Nothing:
    """Wakes nobody, publishes nothing."""

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        return None

    async def publish(self, results: object) -> None:
        return None


@pytest.fixture
async def ports(redis_url: str) -> AsyncIterator[Ports]:
    client = connect_async(redis_url)
    yield Ports(
        store=AsyncExecutor(client),
        waker=_Nothing(),
        sink=_Nothing(),
        clock=SystemClock(),
        rng=random.Random(1),
        driver_named=driver_named,
        cells=(CellStore(0), CellStore(1)),
        registry=RegistryCommands(),
        bus=EventBus(),
    )
    await client.aclose()
