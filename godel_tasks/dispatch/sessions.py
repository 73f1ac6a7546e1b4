"""What a dispatcher does for sessions beside delivering their heads.

The cell keeps the order and knows the instance of each session; only which instances serve is for a
dispatcher to say, from its snapshot of the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.feeder import CellView
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.errors import StoreUnavailable
from godel_tasks.events import SessionsMoved
from godel_tasks.policy.filters import standing_refusal
from godel_tasks.policy.matching import match

#: Seconds between looks at the classes that wait for one instance. It costs no command.
LOOK_EVERY_S = 0.1
#: Seconds that an instance which the snapshot does not know is waited for: it may be a new one.
STRANGER_S = 2.0
#: Sessions that one script moves.
_BATCH = 200


class SessionMover:
    """Takes sessions off instances that do not serve, when their heads wait for nothing else.
    `on_moved` hears of heads that other instances may have now."""

    def __init__(
        self,
        ports: Ports,
        fleet: FleetView,
        cells: Sequence[CellView],
        on_moved: Callable[[], None],
    ) -> None:
        self._ports = ports
        self._fleet = fleet
        self._cells = cells
        self._on_moved = on_moved
        #: Since when a class's instance has been unknown (monotonic).
        self._strangers: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await self._ports.clock.sleep(LOOK_EVERY_S)
            try:
                for view in self._cells:
                    await self.look(view)
            except StoreUnavailable:
                continue

    async def look(self, view: CellView) -> None:
        """Move what is to be moved of a cell's waiting classes."""
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
            reason = why_not(self._fleet, wanted)
            if reason and self._is_to_move(wanted):
                await self._move(view, wanted, reason)

    def _is_to_move(self, wanted: RequirementClass) -> bool:
        """Only where another instance serves: its own may come back with all that it knew."""
        return (
            not wanted.hard
            and self._certain(wanted)
            and any(
                self._may_take(instance_id)
                for instance_id in self._fleet.suitable(wanted.unpinned)
                if instance_id != wanted.pinned
            )
        )

    def _may_take(self, instance_id: str) -> bool:
        facts = self._fleet.facts(instance_id)
        # One breaker may stand before many: that of a provider, say.
        return (
            facts is not None
            and not facts.breaker
            and not self._fleet.reach.lacks(facts.config.endpoint)
        )

    def _certain(self, wanted: RequirementClass) -> bool:
        since = self._strangers.get(wanted.class_id)
        return since is None or self._ports.clock.monotonic() - since >= STRANGER_S

    async def _move(self, view: CellView, wanted: RequirementClass, reason: str) -> None:
        moved, sessions = 0, view.store.sessions
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
            self._on_moved()


def why_not(fleet: FleetView, wanted: RequirementClass) -> str:
    """Why the instance that holds a class's sessions does not serve them; "" when it does, be it
    busy."""
    facts = fleet.facts(wanted.pinned)
    if facts is None:
        return "it left the registry"
    if facts.status is InstanceStatus.DEAD:
        return "it was lost"
    standing = standing_refusal(facts.status, facts.health, facts.health_reason)
    if standing:
        return standing
    found = match(wanted, facts.config)
    if not found.fits:
        return f"it cannot run the task ({found.reason})"
    down_ms = fleet.reach.down_s(facts.config.endpoint) * 1000
    if down_ms >= fleet.unreachable_after_ms(wanted.pinned):
        return "it is out of reach"
    return facts.breaker
