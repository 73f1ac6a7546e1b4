"""Reaper: takes over what dead dispatchers held.

The order matters, and any reaper that dies on the way is followed by another that starts over:
fence the dead one and read what it holds; on every instance keep the slots of those tasks in use
and free its others; take the tasks over, epoch raised, attempt kept; take its outbox over; and only
then end its lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.insist import insist, insist_all
from godel_tasks.dispatch.publisher import Publisher
from godel_tasks.events import DispatcherReaped
from godel_tasks.store.leases import ReapReply
from godel_tasks.store.records import HeldTask


class Reaper:
    """`adopt(cell, tasks)` is given what was taken over."""

    def __init__(
        self,
        ports: Ports,
        dispatcher: str,
        fleet: FleetView,
        publisher: Publisher,
        adopt: Callable[[int, Sequence[HeldTask]], None],
    ) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._publisher = publisher
        self._adopt = adopt
        self._at_work: set[tuple[int, str]] = set()

    async def reap(self, cell: CellStore, dead: str) -> None:
        """All steps for one dead dispatcher; does nothing while the stall's grace lasts."""
        if (cell.cell, dead) in self._at_work or dead == self._dispatcher:
            return
        self._at_work.add((cell.cell, dead))
        try:
            await self._reap(cell, dead)
        finally:
            self._at_work.discard((cell.cell, dead))

    async def _reap(self, cell: CellStore, dead: str) -> None:
        leases = cell.leases
        fenced = await self._condemn(cell, dead)
        if fenced.outcome != "ok":
            return
        # Its slots serve all cells: they are told apart once it is fenced in each.
        others = [await self._condemn(o, dead) for o in self._ports.cells if o is not cell]
        tasks = [held for reply in (fenced, *others) for held in reply.tasks]
        everywhere = all(reply.outcome in ("ok", "done") for reply in others)
        await self._keep_slots(dead, tasks, free_rest=everywhere)
        taken = 0
        while True:
            reply = await insist(
                self._ports,
                lambda: leases.reap(reaper=self._dispatcher, dead=dead, finish=False),
            )
            if reply.outcome != "ok":
                return
            if not reply.tasks:
                break
            taken += len(reply.tasks)
            self._adopt(cell.cell, reply.tasks)
        await self._publisher.take_over(cell, dead)
        await insist(
            self._ports, lambda: leases.reap(reaper=self._dispatcher, dead=dead, finish=True)
        )
        self._ports.bus.emit(DispatcherReaped(dead, taken))

    async def _condemn(self, cell: CellStore, dead: str) -> ReapReply:
        leases = cell.leases
        return await insist(self._ports, lambda: leases.condemn(reaper=self._dispatcher, dead=dead))

    async def _keep_slots(self, dead: str, tasks: Sequence[HeldTask], *, free_rest: bool) -> None:
        await self._fleet.look()
        slots: dict[str, dict[str, str]] = {name: {} for name in self._fleet.members}
        for held in tasks:
            key = f"{held.record.task_id}:{held.record.attempt}"
            slots.setdefault(held.instance_id, {})[held.slot] = key
        registry = self._ports.registry
        await insist_all(
            self._ports,
            lambda: [
                registry.orphan(instance_id=name, owner=dead, slots=named, free_rest=free_rest)
                for name, named in slots.items()
            ],
        )
