"""FleetView: a dispatcher's snapshot of the registry. No registry key is read per task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from godel_tasks.dispatch.breakerview import BreakerView
from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.reach import Reach
from godel_tasks.dispatch.seen import SeenInstance, candidate_of, guards_of
from godel_tasks.domain.breaker import INSTANCE_BREAKER
from godel_tasks.domain.instance import Health, InstanceRecord, InstanceStatus
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.routing import Filtered
from godel_tasks.errors import StoreUnavailable, UnknownDriver
from godel_tasks.events import FleetDoubted
from godel_tasks.policy.filters import InstanceFacts, refusal, standing_refusal
from godel_tasks.policy.massloss import LossDecision, judge_losses
from godel_tasks.policy.matching import match
from godel_tasks.policy.strategy import Candidate
from godel_tasks.store.command import Command
from godel_tasks.store.registry import Fleet, SlotsReply, record_of

log = logging.getLogger(__name__)

#: Seconds between two looks at the registry.
LOOK_EVERY_S = 0.5
#: Within so many looks each hash is read again, a part of them at each: how full instances are, and
#: what they say of themselves, changes without an event.
LOOKS_OF_A_ROUND = 10
#: Seconds that an instance which refused a delivery gets nothing new.
COOL_OFF_S = 0.2


class FleetView:
    """Who is there, who is alive, who has room."""

    def __init__(
        self, ports: Ports, config: DispatchConfig, on_lost: Callable[[str, str], None]
    ) -> None:
        self._ports = ports
        self._config = config
        self._on_lost = on_lost
        self.members: dict[str, SeenInstance] = {}
        self.reach = Reach(ports.clock, config.instance_lease_ms / 1000)
        self.breakers = BreakerView(ports)
        #: Rises with every change that matters to routing.
        self.version = 0
        self._newest_event = ""
        #: Instances of which something newer than the snapshot was heard.
        self._stale: set[str] = set()
        self._round: list[str] = []
        self._last_good_look = float("-inf")
        self._unbroken_since = 0.0
        self._suitable: dict[str, tuple[int, tuple[str, ...]]] = {}
        #: Registrations that we found dead, and what of that is still to be told.
        self._declared: dict[str, int] = {}
        self._untold: list[Command[bool]] = []
        self._held: frozenset[str] = frozenset()
        #: Drivers by name: whether their instances are attended.
        self._attended: dict[str, bool] = {}

    async def run(self) -> None:
        while True:
            await self.look()
            await self._ports.clock.sleep(LOOK_EVERY_S * (0.9 + 0.2 * self._ports.rng.random()))

    async def look(self) -> bool:
        """Read the registry: leases, and the hashes of those that events name, that are new or
        that have their turn. False when Redis did not answer."""
        now = self._ports.clock.monotonic()
        try:
            look = self._ports.registry.fleet(since=self._newest_event)
            fleet = await self._ports.store.run(look)
            to_read = self._to_read(fleet)
            await self._read(fleet, to_read)
            await self._read_breakers(to_read)
            self._newest_event = fleet.newest_event
        except StoreUnavailable:
            return False
        if now - self._last_good_look > 2 * LOOK_EVERY_S + 1.0:
            self._unbroken_since = now
        self._last_good_look = now
        self._judge(fleet, now)
        await self._tell_losses()
        return True

    def _to_read(self, fleet: Fleet) -> list[str]:
        if fleet.changed is None or not self._newest_event:
            return list(fleet.leases)
        if not self._round:
            self._round = list(self.members)
        share = -(-len(self.members) // LOOKS_OF_A_ROUND)
        turn, self._round = self._round[:share], self._round[share:]
        stale, self._stale = self._stale, set()
        new = [instance_id for instance_id in fleet.leases if instance_id not in self.members]
        wanted = dict.fromkeys([*fleet.changed, *sorted(stale), *turn, *new])
        return [instance_id for instance_id in wanted if instance_id in fleet.leases]

    async def _read(self, fleet: Fleet, instance_ids: Sequence[str]) -> None:
        registry = self._ports.registry
        commands: list[Command[Any]] = []
        for instance_id in instance_ids:
            commands.append(registry.fields(instance_id=instance_id))
            commands.extend(registry.slots_used(instance_id=instance_id))
        if not commands:
            return
        try:
            replies = await self._ports.store.pipeline(commands)
        except StoreUnavailable:
            self._stale.update(instance_ids)
            raise
        for i, instance_id in enumerate(instance_ids):
            fields, held, orphaned = replies[3 * i : 3 * i + 3]
            if "generation" not in fields:
                continue
            record = record_of(instance_id, fields, fleet.leases[instance_id])
            known = self.members.get(instance_id)
            if known is None:
                known = self.members[instance_id] = SeenInstance(record)
                self.version += 1
            before, known.record, known.used = known.record, record, held + orphaned
            known.candidate, known.guards = candidate_of(record), guards_of(record)
            if before.config != record.config or (
                (before.generation, before.status, before.health)
                != (record.generation, record.status, record.health)
            ):
                self.version += 1
            if before.generation != record.generation:
                self._on_lost(instance_id, "it was started anew")
            elif record.status is InstanceStatus.DEAD is not before.status:
                self._on_lost(instance_id, record.health_reason or "it was declared dead")

    async def _read_breakers(self, instance_ids: Sequence[str]) -> None:
        known = {name: member for member in self.members.values() for name in member.guards}
        behind = {name for name in known if not name.startswith(INSTANCE_BREAKER)}
        own = [INSTANCE_BREAKER + i for i in instance_ids if i in self.members]
        await self.breakers.look([*own, *sorted(behind)], known)

    def breaker_refusal(self, member: SeenInstance) -> str:
        """Why a breaker keeps new work from an instance; "" when none does."""
        return self.breakers.refusal(member.guards) if self.breakers.unwell else ""

    def _judge(self, fleet: Fleet, now: float) -> None:
        """Who is dead. After a stall (ours or Redis's) heartbeats are missing through no fault of
        the instances: they get one full lease first; and where most are missing at once, longer."""
        patient = (now - self._unbroken_since) * 1000 < self._config.instance_lease_ms
        decision = judge_losses(self._accountable(fleet), fleet.now_ms, self._config.mass_loss)
        self._hold(decision)
        for instance_id, member in list(self.members.items()):
            lease_until = fleet.leases.get(instance_id)
            if lease_until is None:
                del self.members[instance_id]
                self._declared.pop(instance_id, None)
                self.version += 1
                self._on_lost(instance_id, "it left the registry")
                continue
            member.lease_until_ms = lease_until
            dead = lease_until <= fleet.now_ms
            if dead and (patient or instance_id in decision.held):
                continue
            if dead and member.record.status is not InstanceStatus.DEAD:
                self._restate(member, InstanceStatus.DEAD)
                reason = self._why_dead(member)
                self._on_lost(instance_id, reason)
                self._declare(instance_id, member.record.generation, reason)
            elif not dead and member.record.status is InstanceStatus.DEAD:
                self._declared.pop(instance_id, None)
                self._stale.add(instance_id)

    def _accountable(self, fleet: Fleet) -> dict[str, int]:
        """Leases, but of those that the registry itself has for dead: added and not yet reached,
        or declared dead by somebody who looked."""
        return {
            instance_id: fleet.leases[instance_id]
            for instance_id, member in self.members.items()
            if instance_id in fleet.leases
            and (member.record.status is not InstanceStatus.DEAD or instance_id in self._declared)
        }

    def _hold(self, decision: LossDecision) -> None:
        """Those about whom nothing is concluded yet are given work only when nobody else can."""
        if bool(decision.held) != bool(self._held):
            if decision.held:
                log.warning("%d instances are held: %s", len(decision.held), decision.reason)
            else:
                log.warning("%d instances are held no longer", len(self._held))
            self._ports.bus.emit(FleetDoubted(len(decision.held), decision.reason))
        for instance_id in self._held - decision.held:
            self._stale.add(instance_id)
        self._held = decision.held
        for instance_id in decision.held:
            member = self.members[instance_id]
            if member.record.health is Health.HEALTHY:
                member.record = replace(
                    member.record, health=Health.DEGRADED, health_reason=decision.reason
                )
                member.candidate = candidate_of(member.record)
                self.version += 1

    def _why_dead(self, member: SeenInstance) -> str:
        if self.attended(member.record.config.driver):
            return "nothing was heard of it for as long as its lease, or nobody listens there"
        return "its heartbeats stopped"

    def _declare(self, instance_id: str, generation: int, reason: str) -> None:
        if self._declared.get(instance_id) != generation:
            self._declared[instance_id] = generation
            self._untold.append(
                self._ports.registry.lose(
                    instance_id=instance_id, generation=generation, reason=reason
                )
            )

    async def _tell_losses(self) -> None:
        """Everybody who follows the registry hears of a loss once, whoever found it first."""
        untold, self._untold = self._untold, []
        if not untold:
            return
        try:
            await self._ports.store.pipeline(untold)
        except StoreUnavailable:
            self._untold = untold + self._untold

    def attended(self, driver: str) -> bool:
        """Whether instances of a driver say nothing by themselves: dispatchers look after them."""
        if driver not in self._attended:
            try:
                self._attended[driver] = not self._ports.driver_named(driver).self_registering
            except UnknownDriver:  # registered by a Godel that knows more
                self._attended[driver] = False
        return self._attended[driver]

    def doubt(self, instance_id: str) -> None:
        """Something newer than the snapshot was heard of it: read it at the next look."""
        self._stale.add(instance_id)

    def _restate(self, member: SeenInstance, status: InstanceStatus) -> None:
        member.record = replace(member.record, status=status)
        self.version += 1

    def alive(self, instance_id: str, generation: int) -> bool:
        """Whether this registration of the instance is there and not dead."""
        member = self.members.get(instance_id)
        return (
            member is not None
            and member.record.generation == generation
            and member.record.status is not InstanceStatus.DEAD
        )

    def endpoint(self, instance_id: str) -> str:
        member = self.members.get(instance_id)
        return member.record.config.endpoint if member else ""

    def unreachable_after_ms(self, instance_id: str) -> int:
        """How long an instance may be out of reach before what runs there is lost. A gateway that
        dispatchers attend has at least the time that its lease gives it."""
        member = self.members.get(instance_id)
        attended = member is not None and bool(member.record.boot_id)
        limit_ms = self._config.unreachable_after_ms
        return max(limit_ms, self._config.attended_lease_ms) if attended else limit_ms

    def suitable(self, wanted: RequirementClass) -> tuple[str, ...]:
        """Instances that pass the hard filters of a class, up ones only."""
        cached = self._suitable.get(wanted.class_id)
        if cached and cached[0] == self.version:
            return cached[1]
        # A session's class names the one instance: there may be as many such classes as instances.
        asked = (wanted.pinned,) if wanted.pinned else self.members
        found = tuple(
            instance_id
            for instance_id in asked
            if (member := self.members.get(instance_id)) is not None
            and not standing_refusal(*_standing(member.record))
            and match(wanted, member.record.config).fits
        )
        self._suitable[wanted.class_id] = (self.version, found)
        return found

    def routable(self, wanted: RequirementClass) -> bool:
        """Whether any registered instance, up or not, could ever run the class."""
        return any(match(wanted, member.record.config).fits for member in self.members.values())

    def candidates(self, returning: dict[str, int]) -> dict[str, Candidate]:
        """Instances with room, slots that are about to be given back counted as free. They are
        the same objects at each call, to be used up at once."""
        now, out = self._ports.clock.monotonic(), self.reach.out()
        found = {}
        for instance_id, member in self.members.items():
            candidate = member.candidate
            free = candidate.capacity - member.used + returning.get(instance_id, 0)
            candidate.free = min(free, candidate.capacity)
            if (
                free > 0
                and member.cool_until <= now
                and not (out and member.record.config.endpoint in out)
                and not self.breaker_refusal(member)
            ):
                found[instance_id] = candidate
        return found

    def filtered(
        self, wanted: RequirementClass, free: dict[str, Candidate], most: int
    ) -> tuple[list[Filtered], int]:
        """Instances that are no candidates for a class and what stands against each: the first
        `most` of them, and how many there are."""
        candidates = free.keys() & self.suitable(wanted)
        others = [i for i in self.members if i not in candidates]
        named = [Filtered(i, refusal(wanted, self._facts(self.members[i]))) for i in others[:most]]
        return named, len(others)

    def facts(self, instance_id: str) -> InstanceFacts | None:
        """What stands for and against an instance right now; None when it is not registered."""
        member = self.members.get(instance_id)
        return self._facts(member) if member is not None else None

    def _facts(self, member: SeenInstance) -> InstanceFacts:
        record = member.record
        return InstanceFacts(
            record.config,
            *_standing(record),
            breaker=self.breaker_refusal(member),
            cooling=self._unfit(member),
            free=member.candidate.free,
        )

    def _unfit(self, member: SeenInstance) -> str:
        """Why nothing is to be sent there for the moment; "" when it may be."""
        if member.cool_until > self._ports.clock.monotonic():
            return "it refused a delivery a moment ago"
        if self.reach.lacks(member.record.config.endpoint):
            return "this dispatcher cannot reach it"
        return ""

    def learn(self, instance_id: str, reply: SlotsReply) -> None:
        """What a slots call told about an instance."""
        member = self.members.get(instance_id)
        if member is None:
            return
        member.used = reply.used
        self.breakers.told(member.guards[0], reply.breaker)
        if reply.status != member.record.status or reply.generation != member.record.generation:
            self._stale.add(instance_id)

    def cool(self, instance_id: str) -> None:
        """It refused a delivery: leave it alone for a moment."""
        member = self.members.get(instance_id)
        if member:
            member.cool_until = self._ports.clock.monotonic() + COOL_OFF_S


def _standing(record: InstanceRecord) -> tuple[InstanceStatus, Health, str]:
    return record.status, record.health, record.health_reason
