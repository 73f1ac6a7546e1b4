"""Reaper: what a dead dispatcher held is taken over, and what may still run keeps its slot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.publisher import Publisher
from godel_tasks.dispatch.reaper import Reaper
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.store.queue import SlotRange
from godel_tasks.store.records import HeldTask

CLASS = "shared.0"


class _Outboxes:
    """Whose outbox was taken over."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def take_over(self, _cell: CellStore, dead: str) -> None:
        self.taken.append(dead)


async def test_a_run_that_may_go_on_keeps_its_slot_and_the_rest_is_free(ports: Ports) -> None:
    # Given an instance with three slots, all reserved by d1, and one task that d1 claimed and sent
    run, registry, cell = ports.store.run, ports.registry, ports.cells[0]
    await run(cell.tenants.put(TenantConfig("acme")))
    await run(registry.register(InstanceConfig("gw-1", "h:1", capacity=3)))
    await run(registry.attend(instance_ids=["gw-1"], lease_ms=60_000, event="instance.registered"))
    for each in ports.cells:
        await run(each.leases.renew(dispatcher="d1", lease_ms=60))
    task = NewTask("t1", 2, "0", "", encode_body(TaskBody(b"{}")))
    await run(cell.queue.submit(tenant_id="acme", tasks=[task], check_settled=False))
    slots = await run(registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", count=3))
    assert slots.granted == 3
    claimed = await run(
        cell.queue.claim(
            dispatcher="d1",
            batch=1,
            max_take=3,
            ageing_ms=30_000,
            max_lag=1000.0,
            slots=[SlotRange("gw-1", 1, 0, 3)],
            preferences={CLASS: [0]},
        )
    )
    assert [held.record.task_id for held in claimed.tasks] == ["t1"]
    # When d1 dies, and d2 reaps it
    await asyncio.sleep(0.1)
    for each in ports.cells:
        await run(each.leases.renew(dispatcher="d2", lease_ms=60_000))
    fleet = FleetView(ports, DispatchConfig(), lambda instance_id, reason: None)
    assert await fleet.look()
    adopted: list[str] = []

    def adopt(_cell: int, tasks: Sequence[HeldTask]) -> None:
        adopted.extend(held.record.task_id for held in tasks)

    outboxes = _Outboxes()
    await Reaper(ports, "d2", fleet, cast("Publisher", outboxes), adopt).reap(cell, "d1")
    # Then the task is d2's, and so is what d1 had to publish
    assert (adopted, outboxes.taken) == (["t1"], ["d1"])
    # And only two slots can be had: the third may still be in use
    slots = await run(registry.slots(instance_id="gw-1", generation=1, dispatcher="d2", count=3))
    assert (slots.granted, slots.used) == (2, 3)
