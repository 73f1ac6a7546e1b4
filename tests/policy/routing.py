"""What stories of routing are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godel_tasks.domain.requirement import Requirement, RequirementClass
from godel_tasks.policy.capabilities import preferences_of
from godel_tasks.policy.strategy import Candidate


def wanted(
    name: str = "plain",
    *,
    strategy: str = "",
    prefer: Mapping[str, Any] | None = None,
    more_pools: tuple[str, ...] = (),
    requirement: Requirement | None = None,
) -> RequirementClass:
    """A class of pool `shared`."""
    asked = requirement or Requirement(preferences=preferences_of(prefer or {}))
    return RequirementClass(name, "shared", asked, more_pools, strategy)


def candidate(name: str, free: int = 8, capacity: int = 8, **facts: Any) -> Candidate:
    return Candidate(name, capacity, free, pool=facts.pop("pool", "shared"), **facts)


def fleet(*candidates: Candidate) -> dict[str, Candidate]:
    return {c.instance_id: c for c in candidates}
