"""An autoscaler of this deployment: its instances, its cells, its breakers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.fleet.scaling_reader import ScalingReader
from godel_tasks.runtime import Runtime


@asynccontextmanager
async def open_autoscaler(runtime: Runtime) -> AsyncIterator[AutoScaler]:
    """On this event loop; closed at the end. Raises: StoreUnavailable."""
    store = runtime.async_store()
    manager = InstanceManager(store)
    scaler = AutoScaler(store, manager, ScalingReader(store, runtime.cells, manager))
    try:
        yield scaler
    finally:
        await scaler.aclose()
        await store.close()
