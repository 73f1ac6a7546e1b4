"""SlotBank: the slots that this dispatcher reserves, gives back and orphans on instances."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from godel_tasks.dispatch.breaking import Breaking
from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.insist import insist, insist_all
from godel_tasks.store.queue import SlotRange


class SlotBank:
    """Numbers this dispatcher's slots and batches what goes back. A slot that is to be given back
    stays on the list until Redis confirmed it."""

    def __init__(self, ports: Ports, fleet: FleetView, dispatcher: str, breaking: Breaking) -> None:
        self._ports = ports
        self._breaking = breaking
        self._fleet = fleet
        self._dispatcher = dispatcher
        self._next = 1
        #: instance → names of slots to give back.
        self._returning: dict[str, list[str]] = {}

    def give_back(self, instance_id: str, slot: str) -> None:
        self._returning.setdefault(instance_id, []).append(slot)

    def give_back_rest(self, left: SlotRange, used: int) -> None:
        """The slots of a range that claim had no use for: its last ones."""
        for number in range(left.first + used, left.first + left.count):
            slot = f"{self._dispatcher}/{number}"
            self.give_back(left.instance_id, slot)
            self._breaking.unused(left.instance_id, slot)

    @property
    def has_returns(self) -> bool:
        return bool(self._returning)

    def returning(self) -> dict[str, int]:
        return {instance_id: len(names) for instance_id, names in self._returning.items()}

    async def exchange(self, wanted: Mapping[str, int]) -> list[SlotRange]:
        """Give back what is to go back and reserve `wanted` slots by instance: one script per
        instance, one round trip. Less may be granted."""
        returns, self._returning = self._returning, {}
        numbers: dict[str, int] = {}
        for instance_id, count in wanted.items():
            numbers[instance_id] = self._next
            self._next += count
        members = self._fleet.members
        try:
            wanted = await self._breaking.admit(wanted, numbers)
            touched = list({**dict.fromkeys(wanted), **dict.fromkeys(returns)})
            replies = await insist_all(
                self._ports,
                lambda: [
                    self._ports.registry.slots(
                        instance_id=instance_id,
                        generation=members[instance_id].record.generation
                        if instance_id in members
                        else 0,
                        dispatcher=self._dispatcher,
                        first=numbers.get(instance_id, 0),
                        count=wanted.get(instance_id, 0) if instance_id in members else 0,
                        free=returns.get(instance_id, ()),
                    )
                    for instance_id in touched
                ],
            )
        except asyncio.CancelledError:
            for instance_id, names in returns.items():
                self._returning.setdefault(instance_id, []).extend(names)
            raise
        ranges = []
        for instance_id, reply in zip(touched, replies, strict=True):
            self._fleet.learn(instance_id, reply)
            if reply.breaker_moved:
                self._breaking.half_opened(instance_id)
            for number in range(reply.granted, wanted.get(instance_id, 0)):
                slot = f"{self._dispatcher}/{numbers[instance_id] + number}"
                self._breaking.unused(instance_id, slot)
            if reply.granted:
                ranges.append(
                    SlotRange(instance_id, reply.generation, numbers[instance_id], reply.granted)
                )
        return ranges

    async def orphan(self, instance_id: str, slot: str, key: str) -> None:
        """Nobody waits for this run any more, but it may go on: keep its slot in use."""
        await insist(
            self._ports,
            lambda: self._ports.registry.orphan(
                instance_id=instance_id, owner=self._dispatcher, slots={slot: key}, free_rest=False
            ),
        )
