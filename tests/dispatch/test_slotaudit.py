"""SlotAudit: slots of dispatchers that are no more come back."""

from __future__ import annotations

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.slotaudit import SlotAudit
from godel_tasks.domain.instance import InstanceConfig


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
