"""SlotAudit: frees slots whose dispatcher is no more.

A dispatcher gives its slots back before it leaves, and its reaper frees them when it dies. What
slips through (a reservation whose reply was lost on the way out, or that was made by one that did
not know yet that it had been reaped) would be lost to the instance until it registers anew.
"""

from __future__ import annotations

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.fleet import FleetView


class SlotAudit:
    """A dispatcher has a lease while any of its slots may be in use: it takes the lease before its
    first slot, and its reaper ends the lease last. So who has none in any cell owns nothing."""

    def __init__(self, ports: Ports, fleet: FleetView) -> None:
        self._ports = ports
        self._fleet = fleet
        #: (instance, owner) of the last look; one look alone may fall between two commands.
        self._suspects: frozenset[tuple[str, str]] = frozenset()

    async def look(self) -> int:
        """Compare, and free what was ownerless at the last look, too. How many slots.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        store, registry = self._ports.store, self._ports.registry
        members = list(self._fleet.members)
        # The slots first: an owner that comes in between is found among the leases.
        named = await store.pipeline([registry.slot_names(instance_id=name) for name in members])
        leases = await store.pipeline([cell.lookup.dispatchers() for cell in self._ports.cells])
        alive = {name for of_cell in leases for name in of_cell}
        ownerless = {
            (instance_id, slot.rpartition("/")[0])
            for instance_id, slots in zip(members, named, strict=True)
            for slot in slots
        }
        ownerless = {(instance_id, owner) for instance_id, owner in ownerless if owner not in alive}
        found = ownerless & self._suspects
        self._suspects = frozenset(ownerless)
        for instance_id, owner in found:
            await store.run(
                registry.orphan(instance_id=instance_id, owner=owner, slots={}, free_rest=True)
            )
        return len(found)
