"""Filters: what takes an instance out before any strategy sees it. Values in, a reason out.

Nothing can skip them: neither a session's affinity, nor a pinned instance, nor a strategy. Those of
the class (pool, pin, region, capabilities) stand in matching.py; those of the moment are here, in
the order in which they are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.domain.instance import Health, InstanceConfig, InstanceStatus
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.policy.matching import match


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What a snapshot of the registry says of an instance right now. `breaker` and `cooling` are
    reasons in words; "" where nothing stands against it."""

    config: InstanceConfig
    status: InstanceStatus
    health: Health = Health.HEALTHY
    health_reason: str = ""
    breaker: str = ""
    cooling: str = ""
    free: int = 0


def standing_refusal(status: InstanceStatus, health: Health, health_reason: str) -> str:
    """Why an instance gets no new work at all; "" when it does."""
    if status is InstanceStatus.DEAD:
        return "it is dead: its lease is over"
    if status is InstanceStatus.DRAINING:
        return "it is draining"
    if health is Health.UNHEALTHY:
        return f"it is unhealthy: {health_reason}" if health_reason else "it is unhealthy"
    return ""


def refusal(wanted: RequirementClass, facts: InstanceFacts) -> str:
    """The first thing that stands against an instance for a class; "" when it is a candidate."""
    standing = standing_refusal(facts.status, facts.health, facts.health_reason)
    if standing:
        return standing
    found = match(wanted, facts.config)
    if not found.fits:
        return found.reason
    if facts.breaker:
        return facts.breaker
    if facts.free <= 0:
        return f"all {facts.config.capacity} slots are in use"
    return facts.cooling
