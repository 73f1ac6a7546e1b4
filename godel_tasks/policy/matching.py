"""Whether an instance can ever run a requirement class, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import NUMERIC, Capability, Operator, RequirementClass


@dataclass(frozen=True, slots=True)
class Match:
    """`fits`, and what stands against it (empty when it fits)."""

    fits: bool
    misfits: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        return "; ".join(self.misfits) or "fits"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def holds(condition: Capability, offered: Mapping[str, str]) -> bool:
    """Whether a capability condition holds for what an instance offers. A capability that is not
    offered satisfies only `!=`."""
    value = offered.get(condition.name)
    operator = Operator(condition.operator)
    if value is None:
        return operator is Operator.NOT_EQUAL
    wanted = condition.values
    if operator in NUMERIC:
        have, bound = _number(value), _number(wanted[0])
        if have is None or bound is None:
            return False
        match operator:
            case Operator.GREATER:
                return have > bound
            case Operator.AT_LEAST:
                return have >= bound
            case Operator.LESS:
                return have < bound
            case _:
                return have <= bound
    if operator is Operator.NOT_EQUAL:
        return value not in wanted
    return value in wanted


def match(wanted: RequirementClass, instance: InstanceConfig) -> Match:
    """Hard conditions only: pool, pinned instance, region, capabilities."""
    misfits = []
    requirement = wanted.requirement
    if instance.pool != wanted.pool:
        misfits.append(f"pool is {instance.pool}, not {wanted.pool}")
    if requirement.instance_id and requirement.instance_id != instance.instance_id:
        misfits.append(f"it is not instance {requirement.instance_id}")
    if requirement.region and requirement.region != instance.region:
        misfits.append(f"region is {instance.region or 'not set'}, not {requirement.region}")
    for condition in requirement.capabilities:
        if not holds(condition, instance.capabilities):
            offered = instance.capabilities.get(condition.name, "not offered")
            misfits.append(f"{condition.name} is {offered}, wanted {condition}")
    return Match(not misfits, tuple(misfits))


def nearest(wanted: RequirementClass, instances: Iterable[InstanceConfig]) -> str:
    """The instance that comes closest, in words, for a class that fits none."""
    best: tuple[int, str, Match] | None = None
    for instance in instances:
        found = match(wanted, instance)
        rank = (len(found.misfits), instance.instance_id, found)
        if best is None or rank[:2] < best[:2]:
            best = rank
    if best is None:
        return "no instance is registered"
    return f"nearest is {best[1]}: {best[2].reason}"
