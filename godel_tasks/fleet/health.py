"""HealthMonitor: looks at instances whose probe is due, judges them, and tells what changed.

Any number of workers may run rounds at once: each takes a batch of what is due, so no instance is
probed by two, and one that dies in a round leaves its batch to the others once its hold is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec

from godel_tasks.domain.instance import (
    Health,
    HealthStatus,
    InstanceRecord,
    InstanceStatus,
    WorkProbe,
)
from godel_tasks.errors import InstanceError, UnknownDriver
from godel_tasks.fleet.probes import OwnReach, Probes
from godel_tasks.instances.instance import Driver
from godel_tasks.policy.health import HealthDecision, HealthRules, Look, Memory, judge, suspect
from godel_tasks.policy.massloss import MassLossRules, judge_losses
from godel_tasks.store.command import Command
from godel_tasks.store.executor import Executor
from godel_tasks.store.health import HealthCommands, NotedProbe
from godel_tasks.store.registry import RegistryCommands, record_of

log = logging.getLogger(__name__)

#: Instances that one round takes at most.
BATCH = 250
#: A round that takes longer than this has died with its worker.
HOLD_MS = 20_000
#: Losses that are older than this were told, or are of no interest any more.
TOLD_WITHIN_MS = 60_000
#: What attended instances said to a dispatcher counts for so long: they are asked about every 5 s.
FRESH_MS = 12_000
_EVENTS = {
    Health.HEALTHY: "instance.recovered",
    Health.DEGRADED: "instance.degraded",
    Health.UNHEALTHY: "instance.unhealthy",
}


@dataclass(frozen=True, slots=True)
class Round:
    """How many instances were looked at, and of how many a change was told."""

    looked: int
    changed: int


@dataclass(frozen=True, slots=True)
class _Case:
    """An instance in a round."""

    record: InstanceRecord
    memory: Memory
    look: Look
    told: Health
    noted: NotedProbe | None


class HealthMonitor:
    """One worker's part of it, on one event loop."""

    def __init__(
        self,
        store: Executor,
        driver_named: Callable[[str], Driver],
        rules: HealthRules,
        *,
        timeout_s: float = 2.0,
        mass_share: float = 0.5,
        rng: random.Random | None = None,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._registry = RegistryCommands(now_ms)
        self._health = HealthCommands(now_ms)
        self._rules = rules
        self._rng = rng or random.Random()
        self._driver_named = driver_named
        self._probes = Probes(driver_named, timeout_s)
        self._reach = OwnReach(mass_share)

    async def close(self) -> None:
        await self._probes.close()

    async def run_due(self) -> Round:
        """Rounds until nothing is due."""
        looked = changed = 0
        while (batch := await self.round()).looked > 0:
            looked, changed = looked + batch.looked, changed + batch.changed
            if batch.looked < BATCH:
                break
        return Round(looked, changed)

    async def round(self) -> Round:
        """One batch."""
        due = await self._store.run(
            self._health.claim_probes(limit=BATCH, every_ms=self._rules.every_ms, hold_ms=HOLD_MS)
        )
        if not due.instance_ids:
            return Round(0, 0)
        cases = await self._read(due.instance_ids)
        decided = await self._decide(cases)
        changed = await self._note(list(zip(cases, decided, strict=True)))
        # Those that are dead, or gone, are looked at as often as the others.
        pauses = dict.fromkeys(due.instance_ids, self._rules.every_ms)
        for case, decision in zip(cases, decided, strict=True):
            pauses[case.record.instance_id] = decision.next_in_ms
        spread = {name: int(ms * (0.9 + 0.2 * self._rng.random())) for name, ms in pauses.items()}
        await self._store.run(
            self._health.probed(held_until_ms=due.held_until_ms, next_in_ms=spread)
        )
        return Round(len(due.instance_ids), changed)

    # -- looking -----------------------------------------------------------------------------

    async def _read(self, instance_ids: Sequence[str]) -> list[_Case]:
        """What is known of those that are alive."""
        commands: list[Command[Any]] = [self._registry.fleet()]
        for name in instance_ids:
            commands.append(self._registry.fields(instance_id=name))
            commands.extend(self._registry.slots_used(instance_id=name))
            commands.append(self._health.signals(instance_id=name))
            commands.append(self._health.memory(instance_id=name))
        fleet, *replies = await self._store.pipeline(commands)
        cases = []
        for i, name in enumerate(instance_ids):
            fields, held, orphaned, signals, memory = replies[5 * i : 5 * i + 5]
            lease = fleet.leases.get(name, 0)
            if "generation" not in fields or lease <= fleet.now_ms:
                continue
            record = record_of(name, fields, lease)
            if record.status is not InstanceStatus.DEAD:
                used = held + orphaned
                cases.append(_case(record, fields, signals, memory, used, fleet.now_ms))
        return cases

    async def _decide(self, cases: Sequence[_Case]) -> list[HealthDecision]:
        answers = await asyncio.gather(*(self._answer(case) for case in cases))
        asked = {
            case.record.instance_id: answer.status is not Health.UNHEALTHY
            for case, (asked, answer, _) in zip(cases, answers, strict=True)
            if asked and answer is not None
        }
        believed = self._reach.note(asked, asyncio.get_running_loop().time())
        decided = []
        for case, (_, answer, work) in zip(cases, answers, strict=True):
            name = case.record.instance_id
            heard = answer if believed or asked.get(name, True) else None
            unsure = heard is None and (answer is not None or case.noted is not None)
            look = replace(case.look, answer=heard, unsure=unsure, work=work)
            decided.append(judge(case.memory, look, self._rules))
        return decided

    async def _answer(self, case: _Case) -> tuple[bool, HealthStatus | None, WorkProbe | None]:
        """Whether it was we who asked, and what it said."""
        try:
            if not self._driver_named(case.record.config.driver).self_registering:
                # Dispatchers attend it, and ask it more often than we would.
                return False, _fresh(case), None
            return (True, *await self._ask(case))
        except UnknownDriver:  # registered by a Godel that knows more
            return False, None, None

    async def _ask(self, case: _Case) -> tuple[HealthStatus, WorkProbe | None]:
        answer = await self._probes.health(case.record)
        work = None
        if answer.status is not Health.UNHEALTHY and suspect(case.memory, case.look, self._rules):
            # One that is gone meanwhile is found out by the next look.
            with contextlib.suppress(InstanceError):
                work = await self._probes.work(case.record)
        return answer, work

    # -- telling -----------------------------------------------------------------------------

    async def _note(self, decided: Sequence[tuple[_Case, HealthDecision]]) -> int:
        """Verdicts first, so that who hears of one reads it; then the events; then that they were
        told: killed in between, they are told again. Returns how many were told."""
        await self._store.pipeline([self._drained(c) for c, d in decided if d.drained])
        noted = await self._store.pipeline([self._verdict(c, d) for c, d in decided])
        valid = [pair for pair, ok in zip(decided, noted, strict=True) if ok]
        changed = [(c, d) for c, d in valid if d.health is not c.told]
        for case, decision in changed:
            level = logging.INFO if decision.health is Health.HEALTHY else logging.WARNING
            name, reason = case.record.instance_id, decision.reason or "it looks well"
            log.log(level, "instance %s is %s: %s", name, decision.health.value, reason)
        await self._store.pipeline([self._event(c, d) for c, d in changed])
        await self._store.pipeline([self._told(c, d) for c, d in changed])
        for case, decision in valid:
            if decision.lost:
                await self._lose(case, decision)
        return len(changed)

    def _verdict(self, case: _Case, decision: HealthDecision) -> Command[bool]:
        known = {k: v for k, v in asdict(decision.components).items() if v is not None}
        return self._health.note(
            instance_id=case.record.instance_id,
            generation=case.record.generation,
            memory=msgspec.json.encode(decision.memory).decode(),
            fields={
                "health": decision.health.value,
                "health_reason": decision.reason,
                "latency_ms": f"{decision.latency_ms:g}",
                "components": msgspec.json.encode(known).decode(),
                "zombie": "1" if decision.zombie else "",
            },
        )

    def _event(self, case: _Case, decision: HealthDecision) -> Command[str]:
        return self._registry.tell(
            instance_id=case.record.instance_id,
            event=_EVENTS[decision.health],
            generation=case.record.generation,
            reason=decision.reason,
        )

    def _told(self, case: _Case, decision: HealthDecision) -> Command[bool]:
        return self._health.told(
            instance_id=case.record.instance_id,
            generation=case.record.generation,
            health=decision.health.value,
        )

    def _drained(self, case: _Case) -> Command[str]:
        return self._registry.tell(
            instance_id=case.record.instance_id,
            event="instance.drained",
            generation=case.record.generation,
            reason="it runs nothing any more",
        )

    async def _lose(self, case: _Case, decision: HealthDecision) -> None:
        """A zombie that holds work: its registration is over, as if it were dead. What it holds
        may have run, so each task goes on by its own `on_uncertain`."""
        name, generation = case.record.instance_id, case.record.generation
        if await self._store.run(
            self._health.declare_dead(instance_id=name, generation=generation)
        ):
            await self._store.run(
                self._registry.lose(
                    instance_id=name, generation=generation, reason=decision.reason, end_now=True
                )
            )


async def tell_losses(
    store: Executor,
    rules: MassLossRules,
    registry: RegistryCommands,
    health: HealthCommands,
) -> int:
    """Tell of leases that are over, for when no dispatcher runs; how many were told."""
    fleet, listed = await store.pipeline([registry.fleet(), health.listed()])
    decision = judge_losses(fleet.leases, fleet.now_ms, rules)
    recent = [n for n in decision.lost if fleet.leases[n] > fleet.now_ms - TOLD_WITHIN_MS]
    told = await store.pipeline(
        [
            registry.lose(instance_id=n, generation=listed[n], reason="its lease is over")
            for n in sorted(recent)
            if n in listed
        ]
    )
    return sum(told)


def _case(
    record: InstanceRecord,
    fields: Mapping[str, str],
    signals: Mapping[str, int],
    memory: str,
    used: int,
    now_ms: int,
) -> _Case:
    generation = record.generation
    counts = {k: v for k, v in signals.items() if k not in ("generation", "run_ms")}
    look = Look(
        generation,
        now_ms,
        None,
        draining=record.status is InstanceStatus.DRAINING,
        slots_used=used,
        counts=counts if signals.get("generation") == generation else {},
    )
    noted = fields.get("probed", "")
    return _Case(
        record,
        msgspec.json.decode(memory, type=Memory) if memory else Memory(),
        look,
        Health(fields.get("health_told") or Health.HEALTHY),
        msgspec.json.decode(noted, type=NotedProbe) if noted else None,
    )


def _fresh(case: _Case) -> HealthStatus | None:
    if case.noted is None or case.look.at_ms - case.noted.at_ms > FRESH_MS:
        return None
    return case.noted.answer()
