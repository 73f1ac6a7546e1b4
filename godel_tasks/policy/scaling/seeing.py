"""From what was read of a pool to what a decision sees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from godel_tasks.domain.instance import Health, InstanceConfig
from godel_tasks.domain.member import Member, MemberState
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.domain.requirement import Operator, RequirementClass
from godel_tasks.domain.scaling import InstanceLoad, PoolState, ScalingInputs, Spawning
from godel_tasks.policy.matching import match
from godel_tasks.policy.scaling.taking import behind_pinned


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many tasks of a class wait."""

    wanted: RequirementClass
    tasks: int


@dataclass(frozen=True, slots=True)
class PoolSeen:
    """What was read of a pool. `sessions` are those pinned, by instance; `open_providers` are
    "provider" or "provider/model"."""

    pool: str
    at_ms: int
    members: Sequence[Member] = ()
    waiting: Sequence[Waiting] = ()
    template: InstanceTemplate | None = None
    #: Its dead are replaced by whoever looks after them.
    replaces: bool = False
    average_ms: float = 0.0
    sessions: Mapping[str, int] = field(default_factory=dict)
    open_providers: frozenset[str] = frozenset()
    #: Its provider gives up only the instance with the highest number.
    last_first: bool = False
    #: In the hands of a rolling restart: they come back by themselves.
    restarting: frozenset[str] = frozenset()
    #: The members' providers were asked, too.
    asked: bool = False

    def may_take(self, member: Member) -> bool:
        """It was made here, and, as far as that is known, its provider can reach it from here."""
        if member.made is None:
            return False
        return not self.asked or member.provided is not None


def inputs_of(seen: PoolSeen, state: PoolState, leaving: Collection[str]) -> ScalingInputs:
    """`leaving`: instances that are on their way out, whether or not they are cordoned yet."""
    staying = [member for member in seen.members if member.instance_id not in leaving]
    up = [member for member in staying if member.state is MemberState.UP]
    at_work = [
        member for member in seen.members if member.state in (MemberState.UP, MemberState.DRAINING)
    ]
    loads = tuple(_load(member, seen) for member in up if seen.may_take(member))
    queued, blocked = _queued(seen, at_work)
    return ScalingInputs(
        pool=seen.pool,
        at_ms=seen.at_ms,
        queued=queued,
        queued_blocked=blocked,
        running=sum(member.slots_used for member in at_work),
        average_ms=seen.average_ms,
        sessions=sum(seen.sessions.get(member.instance_id, 0) for member in at_work),
        up=len(up),
        starting=_starting(seen, staying, state.spawning),
        draining=len(at_work) - len(up),
        slots_per_instance=_slots(up, seen.template),
        removable=len(loads),
        pinned=behind_pinned(loads),
        open_providers=tuple(sorted(seen.open_providers)),
        instances=loads,
    )


def _load(member: Member, seen: PoolSeen) -> InstanceLoad:
    record = member.record
    number = member.instance_id.rpartition("-")[2]
    return InstanceLoad(
        member.instance_id,
        member.slots_used,
        seen.sessions.get(member.instance_id, 0),
        healthy=record is None or record.health is not Health.UNHEALTHY,
        registered_ms=record.registered_ms if record else 0,
        number=int(number) if seen.last_first and number.isdecimal() else None,
    )


def _starting(seen: PoolSeen, members: Sequence[Member], spawning: Sequence[Spawning]) -> int:
    """Instances that will be there without any further act. A request and what is made for it are
    one: which belongs to which is known only in the end."""
    named = {request.instance_id for request in spawning if request.instance_id}
    asked = sum(not request.instance_id for request in spawning)
    making = others = 0
    for member in members:
        if member.state is MemberState.UP:
            named.discard(member.instance_id)
        elif member.instance_id in named:
            continue
        elif member.instance_id in seen.restarting:
            others += 1
        elif member.counts(replace=seen.replaces):
            making += member.state is MemberState.MAKING
            others += member.state is MemberState.DEAD
    return max(asked, making) + others + len(named)


def _slots(up: Sequence[Member], template: InstanceTemplate | None) -> float:
    capacities = [m.record.config.capacity for m in up if m.record and m.record.config.capacity]
    if capacities:
        return sum(capacities) / len(capacities)
    return float(template.capacity) if template else 1.0


def _queued(seen: PoolSeen, members: Sequence[Member]) -> tuple[int, int]:
    """Tasks that wait for an instance of the pool, whichever, and those of them whose provider is
    broken. One more instance is of no use to a task that wants a certain one, or what none has."""
    configs = [member.record.config for member in members if member.record]
    if seen.template is not None:
        configs.append(_config(seen.template))
    queued = blocked = 0
    for waiting in seen.waiting:
        wanted = waiting.wanted
        if wanted.pool != seen.pool or wanted.requirement.instance_id:
            continue
        if configs and not any(match(wanted, config).fits for config in configs):
            continue
        queued += waiting.tasks
        if seen.open_providers & _providers(wanted, configs):
            blocked += waiting.tasks
    return queued, blocked


def _config(template: InstanceTemplate) -> InstanceConfig:
    return InstanceConfig(
        instance_id="",
        endpoint="",
        driver=template.driver,
        capacity=template.capacity,
        region=template.region,
        pool=template.pool,
        capabilities=template.capabilities,
    )


def _providers(wanted: RequirementClass, configs: Sequence[InstanceConfig]) -> frozenset[str]:
    """What stands behind the instances for tasks of a class, as its capabilities `provider` and
    `model` say, or as all the pool's instances say; empty when it could be one or another."""
    asked = {
        condition.name: condition.values[0]
        for condition in wanted.requirement.capabilities
        if condition.operator == Operator.EQUAL
    }

    def one(name: str) -> str:
        offered = {config.capabilities.get(name, "") for config in configs}
        return asked.get(name) or (offered.pop() if len(offered) == 1 else "")

    provider, model = one("provider"), one("model")
    if not provider:
        return frozenset()
    return frozenset({provider, f"{provider}/{model}"} if model else {provider})
