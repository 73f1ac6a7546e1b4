"""What a dispatcher does for sessions beside delivering their heads.

The cell keeps the order and knows the instance of each session; only which instances serve is for a
dispatcher to say, from its snapshot of the registry.
"""

from __future__ import annotations

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.feeder import CellView, Feeder
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.domain.instance import Health, InstanceStatus
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.errors import StoreUnavailable
from godel_tasks.events import SessionsMoved
from godel_tasks.policy.matching import match

#: Seconds between looks at the classes that wait for one instance. It costs no command.
LOOK_EVERY_S = 0.1
#: Seconds that an instance which the snapshot does not know is waited for: it may be a new one.
STRANGER_S = 2.0
#: Sessions that one script moves.
_BATCH = 200


class SessionMover:
    """Takes sessions off instances that do not serve, when their heads wait for nothing else."""

    def __init__(self, ports: Ports, fleet: FleetView, feeder: Feeder) -> None:
        self._ports = ports
        self._fleet = fleet
        self._feeder = feeder
        #: Since when a class's instance has been unknown (monotonic).
        self._strangers: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await self._ports.clock.sleep(LOOK_EVERY_S)
            try:
                for view in self._feeder.cells:
                    await self._look(view)
            except StoreUnavailable:
                continue

    async def _look(self, view: CellView) -> None:
        pinned = [
            wanted
            for name, waiting in view.waiting.items()
            if waiting > 0 and (wanted := view.classes.get(name)) and wanted.pinned
        ]
        self._strangers = {
            wanted.class_id: self._strangers.get(wanted.class_id, self._ports.clock.monotonic())
            for wanted in pinned
            if wanted.pinned not in self._fleet.members
        }
        for wanted in pinned:
            if self._is_to_move(wanted):
                await self._move(view, wanted)

    def _is_to_move(self, wanted: RequirementClass) -> bool:
        """Only where another instance serves: its own may come back with all that it knew."""
        return (
            not wanted.hard
            and not self._fleet.suitable(wanted)
            and self._certain(wanted)
            and bool(self._fleet.suitable(wanted.unpinned))
        )

    def _certain(self, wanted: RequirementClass) -> bool:
        since = self._strangers.get(wanted.class_id)
        return since is None or self._ports.clock.monotonic() - since >= STRANGER_S

    async def _move(self, view: CellView, wanted: RequirementClass) -> None:
        reason, moved = why_not(self._fleet, wanted), 0
        sessions = view.store.sessions
        while True:
            batch = await self._ports.store.run(
                sessions.move(class_id=wanted.class_id, reason=reason, limit=_BATCH)
            )
            moved += batch
            if batch < _BATCH:
                break
        view.waiting.pop(wanted.class_id, None)
        if moved:
            self._ports.bus.emit(SessionsMoved(wanted.pinned, moved, reason))
            self._feeder.pulse.set()


def why_not(fleet: FleetView, wanted: RequirementClass) -> str:
    """Why the instance that holds sessions does not serve them."""
    member = fleet.members.get(wanted.pinned)
    if member is None:
        return "it left the registry"
    record = member.record
    if record.status is InstanceStatus.DEAD:
        return "it was lost"
    if record.status is InstanceStatus.DRAINING:
        return "it is draining"
    found = match(wanted, record.config)
    if not found.fits:
        return f"it cannot run the task ({found.reason})"
    if record.health is Health.UNHEALTHY:
        return f"it is unhealthy ({record.health_reason})" if record.health_reason else (
            "it is unhealthy"
        )  # fmt: skip
    return "its breaker is open"
