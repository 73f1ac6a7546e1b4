"""SlotAudit: slots of dispatchers that are no more come back."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from godel_tasks.clock import SystemClock
from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.slotaudit import SlotAudit
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.events import EventBus
from godel_tasks.instances.drivers import driver_named
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.registry import InstanceRegistry


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
        registry=InstanceRegistry(),
        bus=EventBus(),
    )
    await client.aclose()


async def test_slots_without_an_owner_are_freed_at_the_second_look(ports: Ports) -> None:
    # Given an instance with slots of three dispatchers; two have a lease, in one cell or the other
    run, registry = ports.store.run, ports.registry
    await run(registry.register(InstanceConfig("gw-1", "h:1", capacity=9)))
    await run(registry.attend(instance_ids=["gw-1"], lease_ms=3000, event="instance.registered"))
    for name in ("d1", "d2", "gone"):
        await run(registry.slots(instance_id="gw-1", generation=1, dispatcher=name, count=2))
    await run(ports.cells[0].leases.renew(dispatcher="d1", lease_ms=3000))
    await run(ports.cells[1].leases.renew(dispatcher="d2", lease_ms=3000))
    fleet = FleetView(ports, DispatchConfig(), lambda instance_id, reason: None)
    assert await fleet.look()
    audit = SlotAudit(ports, fleet)
    # When somebody looks once
    assert await audit.look() == 0
    # Then nothing is decided: it may have looked between two commands
    before: tuple[str, ...] = await run(registry.slot_names(instance_id="gw-1"))
    assert len(before) == 6
    # When it is the same at the second look
    assert await audit.look() == 1
    # Then the slots of who is no more are free, and the others' are not
    names = await run(registry.slot_names(instance_id="gw-1"))
    assert set(names) == {"d1/0", "d1/1", "d2/0", "d2/1"}
    assert await audit.look() == 0
