"""Whether an instance can ever run a requirement class, and why not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.policy.capabilities import holds
from godel_tasks.policy.strategy import spec_of_strategy, steps_of

#: The one strategy that leads out of the home pool.
FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Match:
    """`fits`, and what stands against it (empty when it fits)."""

    fits: bool
    misfits: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        return "; ".join(self.misfits) or "fits"


def match(wanted: RequirementClass, instance: InstanceConfig) -> Match:
    """Hard conditions only: pool, steps of a fallback, pinned instance, region, capabilities."""
    misfits = []
    requirement = wanted.requirement
    misfits += _places(wanted, instance)
    if requirement.instance_id and requirement.instance_id != instance.instance_id:
        misfits.append(f"it is not instance {requirement.instance_id}")
    if wanted.pinned and wanted.pinned != instance.instance_id:
        misfits.append(f"the session is on {wanted.pinned}")
    if requirement.region and requirement.region != instance.region:
        misfits.append(f"region is {instance.region or 'not set'}, not {requirement.region}")
    for condition in requirement.capabilities:
        if not holds(condition, instance.capabilities):
            offered = instance.capabilities.get(condition.name, "not offered")
            misfits.append(f"{condition.name} is {offered}, wanted {condition}")
    return Match(not misfits, tuple(misfits))


def _places(wanted: RequirementClass, instance: InstanceConfig) -> list[str]:
    """What stands against its pool; by the strategy `fallback`, its pool and region."""
    spec = spec_of_strategy(wanted.strategy)
    if spec.name != FALLBACK:
        if instance.pool == wanted.pool:
            return []
        return [f"pool is {instance.pool}, not {wanted.pool}"]
    if instance.pool not in (wanted.pool, *wanted.more_pools):
        return [f"its tenant may not run in pool {instance.pool}"]
    for step in steps_of(spec):
        if (step.pool or wanted.pool) == instance.pool and step.region in ("", instance.region):
            return []
    return [f"no step of {spec} leads there"]


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
