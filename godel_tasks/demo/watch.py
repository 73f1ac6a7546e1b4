"""Looks at the running demo, four times a second, in two round trips."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from godel_tasks.demo.display import DispatcherRow, InstanceRow, LaneRow, Snapshot, TenantRow
from godel_tasks.demo.house import House
from godel_tasks.demo.plan import DISPATCHERS, INSTANCES, TENANTS, InstancePlan
from godel_tasks.domain.breaker import INSTANCE_BREAKER, BreakerSnapshot, BreakerState
from godel_tasks.domain.instance import Health
from godel_tasks.domain.task import Level
from godel_tasks.domain.tenant import TenantStatus
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.command import Command, plain
from godel_tasks.store.decisions import KeptDecision
from godel_tasks.store.registry import Fleet

#: Seconds over which speeds are measured.
WINDOW_S = 3.0


class _Seen(NamedTuple):
    """What one round trip brings."""

    statuses: dict[str, TenantStatus]
    classes: dict[str, str]
    leases: dict[str, int]
    fleet: Fleet
    decision: KeptDecision | None
    instances: list[Any]


class Watcher:
    """Takes snapshots. `began` is set when the work begins."""

    def __init__(self, house: House, plans: Sequence[InstancePlan] = INSTANCES) -> None:
        self._house = house
        self._plans = plans
        # Godel knows more than one cell; the demo's tenants are all in one.
        self._cell = house.runtime.cells[0]
        self.began = time.monotonic()
        self.phase = "starting"
        self.events: list[str] = []
        self._shares: dict[str, float] = {}
        #: Instances that stand in the registry and not in the plan.
        self._made: list[str] = []
        #: Moments (monotonic) and what each tenant had settled then.
        self._past: deque[tuple[float, dict[str, int]]] = deque()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def tell(self, event: str) -> str:
        """Note something that happened; the line as it is shown."""
        line = f"{self.elapsed_s:5.1f} s  {event}"
        self.events.append(line)
        return line

    async def grown(self) -> list[str]:
        """What became of the fleet's size since the last look; a line each, as it is shown."""
        growth = self._house.growth
        return [self.tell(news) for news in await growth.look()] if growth else []

    async def look(self) -> Snapshot:
        """The demo now."""
        statuses, classes, leases, fleet, decision, instances = await self._first_look()
        waiting, held = await self._second_look(list(classes), list(leases))
        settled = {name: _settled(status) for name, status in statuses.items()}
        speeds = self._speeds(settled)
        self._learn_shares(statuses)
        return Snapshot(
            phase=self.phase,
            elapsed_s=self.elapsed_s,
            submitted=sum(status.submitted for status in statuses.values()),
            settled=sum(settled.values()),
            throughput_per_s=sum(speeds.values()),
            tenants=[
                TenantRow(
                    name=name,
                    weight=TENANTS[name],
                    waiting=status.depth,
                    running=status.in_flight,
                    settled=settled[name],
                    share=self._shares.get(name),
                    wait_s=status.depth / speeds[name] if speeds[name] else None,
                )
                for name, status in statuses.items()
            ],
            lanes=[
                LaneRow(tenant=name, level=level.name.lower(), waiting=waiting[name, level])
                for level in Level
                for name in TENANTS
            ],
            instances=self._instances(fleet, instances),
            dispatchers=self._dispatchers(held),
            events=self.events,
            why=decision.routed.reason if decision else "",
        )

    async def _first_look(self) -> _Seen:
        registry = self._house.runtime.registry
        commands: list[Command[Any]] = [self._cell.tenants.status(name) for name in TENANTS]
        commands += [
            self._cell.leases.classes(), self._cell.lookup.dispatchers(), registry.fleet(),
            self._cell.decisions.newest(),
        ]  # fmt: skip
        for name in self._names:
            commands.append(registry.fields(instance_id=name))
            commands.append(registry.slots_used(instance_id=name)[0])
            commands.append(BreakerCommands().read(INSTANCE_BREAKER + name))
        replies = await self._house.store.pipeline(commands)
        statuses = dict(zip(TENANTS, replies, strict=False))
        classes, leases, fleet, decision, *instances = replies[len(TENANTS) :]
        return _Seen(statuses, classes, leases, fleet, decision, instances)

    @property
    def _names(self) -> list[str]:
        return [*(plan.instance_id for plan in self._plans), *self._made]

    async def _second_look(
        self, classes: list[str], leases: list[str]
    ) -> tuple[dict[tuple[str, Level], int], dict[str, int]]:
        """Waiting tasks by tenant and level, and held ones by dispatcher."""
        keys = self._cell.lookup.keys
        places = [(name, level, cls) for name in TENANTS for level in Level for cls in classes]
        commands = [
            plain("LLEN", keys.lane(name, cls, level), decode=int) for name, level, cls in places
        ]
        commands += [plain("HLEN", keys.held(name), decode=int) for name in leases]
        counts = await self._house.store.pipeline(commands)
        waiting = {(name, level): 0 for name in TENANTS for level in Level}
        for (name, level, _), count in zip(places, counts, strict=False):
            waiting[name, level] += count
        return waiting, dict(zip(leases, counts[len(places) :], strict=True))

    def _instances(self, fleet: Fleet, replies: list[Any]) -> list[InstanceRow]:
        rows = []
        planned = {plan.instance_id: plan for plan in self._plans}
        for number, name in enumerate(self._names):
            fields, used, breaker = replies[3 * number : 3 * number + 3]
            alive = fleet.leases.get(name, 0) > fleet.now_ms
            if not alive and name not in planned:
                continue
            status = fields.get("status", "-") if alive else "dead"
            plan = planned.get(name)
            capacity = plan.capacity if plan else int(fields.get("capacity") or 0)
            rows.append(
                InstanceRow(
                    id=name,
                    region=plan.region if plan else fields.get("region", ""),
                    status="killed" if name in self._house.killed else status,
                    health=_condition(fields, breaker) if alive else "",
                    running=min(used, capacity),
                    capacity=capacity,
                    completed=int(fields.get("completed_tasks") or 0),
                    made=plan is None,
                )
            )
        self._made = [name for name in sorted(fleet.leases) if name not in planned]
        return rows

    def _dispatchers(self, held: dict[str, int]) -> list[DispatcherRow]:
        rows = []
        for number in range(DISPATCHERS):
            name = f"dispatcher{number + 1}"
            counts = [count for owner, count in held.items() if owner.startswith(f"{name}@")]
            status = "killed" if name in self._house.killed else "up"
            rows.append(DispatcherRow(name=name, status=status, holds=sum(counts)))
        return rows

    def _speeds(self, settled: dict[str, int]) -> dict[str, float]:
        """Tasks per second of each tenant, lately."""
        now = time.monotonic()
        self._past.append((now, settled))
        while len(self._past) > 2 and self._past[1][0] <= now - WINDOW_S:
            self._past.popleft()
        then, before = self._past[0]
        seconds = now - then
        return {
            name: (count - before[name]) / seconds if seconds else 0.0
            for name, count in settled.items()
        }

    def _learn_shares(self, statuses: dict[str, TenantStatus]) -> None:
        """Shares mean something only while every tenant has tasks waiting; then they stay."""
        total = sum(status.slot_ms for status in statuses.values())
        if total and all(status.depth for status in statuses.values()):
            self._shares = {name: status.slot_ms / total for name, status in statuses.items()}


def _condition(fields: dict[str, str], breaker: BreakerSnapshot) -> str:
    """Its breaker where that is not closed, else its health."""
    if breaker.state is not BreakerState.CLOSED:
        return f"breaker {breaker.state.value}"
    return fields.get("health") or Health.HEALTHY.value


def _settled(status: TenantStatus) -> int:
    return status.succeeded + status.failed + status.expired + status.cancelled
