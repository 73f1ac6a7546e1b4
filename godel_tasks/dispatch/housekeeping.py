"""Housekeeping: what a dispatcher looks after beside its ticks."""

from __future__ import annotations

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.control import FlightControl
from godel_tasks.dispatch.feeder import CellView, Feeder
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flights
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.outcome import NO_INSTANCE, SESSION_STUCK
from godel_tasks.dispatch.publisher import Publisher
from godel_tasks.dispatch.sessions import why_not
from godel_tasks.dispatch.slotaudit import SlotAudit
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.task import TaskState
from godel_tasks.errors import StoreUnavailable
from godel_tasks.events import ClassUnroutable
from godel_tasks.policy.matching import nearest

#: Seconds between looks at the flights: unsent, over time, running for a while.
FLIGHTS_EVERY_S = 0.1
#: The same while there are none.
NO_FLIGHTS_EVERY_S = 0.4
#: An attempt that still runs after this is marked RUNNING: short ones are not worth the write.
MARK_RUNNING_AFTER_S = 0.1
#: Longest sleep until the due set is looked at again.
DUE_EVERY_S = 1.0
#: Seconds between looks at orphaned slots and at classes that nobody can run.
SLOW_EVERY_S = 2.0
#: Every so many of them, the slots of dispatchers that are no more.
AUDIT_EVERY = 5


class Housekeeping:
    """Loops beside the feeder; each survives a Redis that does not answer."""

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        dispatcher: str,
        flights: Flights,
        fleet: FleetView,
        lease: LeaseKeeper,
        control: FlightControl,
        feeder: Feeder,
        publisher: Publisher,
    ) -> None:
        self._ports = ports
        self._config = config
        self._dispatcher = dispatcher
        self._flights = flights
        self._fleet = fleet
        self._lease = lease
        self._control = control
        self._feeder = feeder
        self._publisher = publisher
        self._slot_audit = SlotAudit(ports, fleet)

    async def watch_flights(self) -> None:
        while True:
            if not len(self._flights):
                await self._ports.clock.sleep(NO_FLIGHTS_EVERY_S)
                continue
            await self._ports.clock.sleep(FLIGHTS_EVERY_S)
            self._control.check_times()
            await self._control.sender.resend()
            await self._mark_running()

    async def _mark_running(self) -> None:
        now = self._ports.clock.monotonic()
        by_cell: dict[int, list[tuple[str, int]]] = {}
        for flight in self._flights:
            due = flight.sent_at and now - flight.sent_at >= MARK_RUNNING_AFTER_S
            if due and not flight.running and not flight.settling:
                flight.running = True
                by_cell.setdefault(flight.cell, []).append((flight.task_id, flight.held.epoch))
        for cell, tasks in by_cell.items():
            queue = self._ports.cells[cell].queue
            await insist(
                self._ports,
                lambda queue=queue, tasks=tasks: queue.mark_running(  # type: ignore[misc]
                    dispatcher=self._dispatcher, tasks=tasks
                ),
            )

    async def watch_due(self, view: CellView) -> None:
        """Delayed tasks, expiries, holds: handled when due, by any dispatcher."""
        while True:
            try:
                handled, view.next_due_ms = await self._ports.store.run(view.store.queue.due())
                if handled:
                    self._feeder.pulse.set()
                    await self._publisher.take_over(view.store)
                    continue
            except StoreUnavailable:
                pass
            await self._ports.clock.sleep(self._until_due(view))

    def _until_due(self, view: CellView) -> float:
        jittered = DUE_EVERY_S * (0.75 + 0.5 * self._ports.rng.random())
        if view.next_due_ms is None:
            return jittered
        left_s = (view.next_due_ms - self._lease.redis_now_ms()) / 1000
        return min(jittered, max(left_s, 0.002))

    async def watch_slowly(self) -> None:
        """Orphaned slots, classes that nobody can run, connections that nobody needs, ends that
        nobody publishes."""
        looks = 0
        while True:
            await self._ports.clock.sleep(SLOW_EVERY_S * (0.75 + 0.5 * self._ports.rng.random()))
            looks += 1
            try:
                for view in self._feeder.cells:
                    await self._check_routable(view)
                    await self._forget_sessions(view)
                await self._reconcile_orphans()
                await self._tidy_links()
                if looks % AUDIT_EVERY == 0 and await self._slot_audit.look():
                    self._feeder.pulse.set()
                for view in self._feeder.cells:
                    await self._publisher.recover(view.store)
            except StoreUnavailable:
                continue

    async def _check_routable(self, view: CellView) -> None:
        leases, queue = view.store.leases, view.store.queue
        routable = []
        for name, waiting in list(view.waiting.items()):
            wanted = view.classes.get(name)
            if wanted is None or waiting <= 0:
                continue
            if self._may_run(wanted):
                routable.append(name)
                continue
            text = nearest(wanted, (m.record.config for m in self._fleet.members.values()))
            now_ms = int(self._lease.redis_now_ms())
            new = await self._ports.store.run(leases.mark_unroutable(class_id=name, now_ms=now_ms))
            if new:
                self._ports.bus.emit(ClassUnroutable(name, waiting, text))
            limit_ms = self._config.unroutable_after_ms
            why = f"{NO_INSTANCE} could run it ({wanted}); {text}"
            if wanted.hard:
                why = f"{SESSION_STUCK} {wanted.pinned}: {why_not(self._fleet, wanted)}"
            bury = queue.bury_class(class_id=name, limit_ms=limit_ms, why=why)
            # Behind each head of a session another one may have waited as long.
            while await self._ports.store.run(bury):
                await self._publisher.take_over(view.store)
        if routable:
            await self._ports.store.run(leases.mark_routable(class_ids=routable))

    def _may_run(self, wanted: RequirementClass) -> bool:
        """Whether tasks of the class need not give up waiting. A session that may leave its
        instance has the others, too; one that may not has only that one."""
        if wanted.hard:
            return not why_not(self._fleet, wanted)
        return self._fleet.routable(wanted.unpinned if wanted.pinned else wanted)

    async def _forget_sessions(self, view: CellView) -> None:
        sessions = view.store.sessions
        idle = await self._ports.store.run(sessions.idle())
        for name, who in idle.unfinished.items():
            await self._ports.store.run(sessions.end(name=name, who=who))

    async def _reconcile_orphans(self) -> None:
        """A slot whose run nobody waits for is freed when the instance says that it does not run
        it; a run that goes on for nobody is stopped."""
        registry = self._ports.registry
        for instance_id, member in list(self._fleet.members.items()):
            record = member.record
            if not self._fleet.alive(instance_id, record.generation):
                continue
            orphans = await self._ports.store.run(registry.orphans(instance_id=instance_id))
            if not orphans:
                continue
            unowned = [s for s, key in orphans.items() if not await self._owned(s, key)]
            config = record.config
            running = await self._control.links.runs(config)
            if running is None:
                continue
            free = []
            for slot in unowned:
                if orphans[slot] in running:
                    self._control.links.stop_run(record.config.endpoint, instance_id, orphans[slot])
                else:
                    free.append(slot)
            if free:
                command = registry.slots(
                    instance_id=instance_id,
                    generation=record.generation,
                    dispatcher=self._dispatcher,
                    free=free,
                )
                self._fleet.learn(instance_id, await self._ports.store.run(command))
                self._feeder.pulse.set()

    async def _owned(self, slot: str, key: str) -> bool:
        """Whether somebody holds the task in that very slot (an adopted run, maybe being sent)."""
        task_id, _, _ = key.rpartition(":")
        for cell in self._ports.cells:
            entry = await self._ports.store.run(cell.lookup.entry(task_id))
            if entry is None:
                continue
            if entry.state not in (TaskState.CLAIMED, TaskState.RUNNING):
                return False
            held = await self._ports.store.run(cell.lookup.held(task_id, entry.owner))
            # Held by someone whose record moved meanwhile: look again next time.
            return held is None or held.slot == slot
        return False

    async def _tidy_links(self) -> None:
        """Close connections that no member of the fleet and no flight needs."""
        used = {member.record.config.endpoint for member in self._fleet.members.values()}
        used.update(flight.endpoint for flight in self._flights)
        await self._control.links.close_unused(frozenset(used))
