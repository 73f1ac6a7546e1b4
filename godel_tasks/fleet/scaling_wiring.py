"""An autoscaler of this deployment: its instances, its breakers, its sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from godel_tasks.domain.breaker import PROVIDER_BREAKER
from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.fleet.scaling_reader import ScalingReader
from godel_tasks.runtime import Runtime
from godel_tasks.store.breakers import BreakerCommands


def open_providers(runtime: Runtime) -> frozenset[str]:
    """Providers, and "provider/model", whose breakers do not let everything through. Blocks.

    Raises:
        StoreUnavailable
    """
    breakers = BreakerCommands()
    names = [n for n in runtime.store.run(breakers.names()) if n.startswith(PROVIDER_BREAKER)]
    states = runtime.store.pipeline([breakers.read(name) for name in names])
    return frozenset(
        name.removeprefix(PROVIDER_BREAKER)
        for name, snapshot in zip(names, states, strict=True)
        if not snapshot.state.lets_through
    )


@asynccontextmanager
async def open_autoscaler(runtime: Runtime) -> AsyncIterator[AutoScaler]:
    """On this event loop; closed at the end. Raises: StoreUnavailable."""
    store = runtime.async_store()
    manager = InstanceManager(store)
    reader = ScalingReader(
        store, runtime.cells, manager, open_providers=lambda: open_providers(runtime)
    )
    scaler = AutoScaler(store, manager, reader)
    try:
        yield scaler
    finally:
        await scaler.aclose()
        await store.close()
