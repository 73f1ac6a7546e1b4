"""Filters: nothing that one of them refuses is ever planned on, whatever the strategy says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.domain.instance import Health, InstanceConfig, InstanceStatus
from godel_tasks.domain.requirement import Requirement, RequirementClass
from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.capabilities import capabilities_of, preferences_of
from godel_tasks.policy.filters import InstanceFacts, refusal
from godel_tasks.policy.strategy import Candidate

names = st.sampled_from(["a", "b", "c", "d"])
regions = st.sampled_from(["", "eu", "us"])
pools = st.sampled_from(["shared", "spare", "other"])
STRATEGIES = [
    "least-loaded",
    "round-robin",
    "geo-aware",
    "geo-aware=us,eu",
    "capability-aware",
    "fallback=least-loaded@eu,geo-aware,round-robin/spare",
    "fallback=/other",
]

facts = st.builds(
    InstanceFacts,
    config=st.builds(
        InstanceConfig,
        instance_id=names,
        endpoint=st.just("x"),
        capacity=st.integers(1, 4),
        region=regions,
        pool=pools,
        capabilities=st.dictionaries(st.just("gpu"), st.sampled_from(["yes", "no"])),
    ),
    status=st.sampled_from(InstanceStatus),
    health=st.sampled_from(Health),
    breaker=st.sampled_from(["", "its breaker is open"]),
    cooling=st.sampled_from(["", "it refused a delivery a moment ago"]),
    free=st.integers(0, 4),
)
requirements = st.builds(
    Requirement,
    capabilities=st.sampled_from([(), capabilities_of({"gpu": "yes"})]),
    region=regions,
    strategy=st.sampled_from(STRATEGIES),
    # As a session pins it.
    instance_id=st.sampled_from(["", "a", "b"]),
    preferences=st.sampled_from([(), preferences_of({"gpu": "yes"})]),
)


@given(st.lists(facts, unique_by=lambda f: f.config.instance_id), requirements, st.integers(0, 99))
def test_no_strategy_and_no_pin_brings_a_filtered_instance_back(
    instances: list[InstanceFacts], requirement: Requirement, seed: int
) -> None:
    # Given any fleet, and a task that asks for anything
    asked = RequirementClass("k", "shared", requirement, ("spare",))
    against = {f.config.instance_id: refusal(asked, f) for f in instances}
    free = {
        f.config.instance_id: Candidate(
            f.config.instance_id, f.config.capacity, f.free, f.config.region, f.config.pool,
            f.config.capabilities,
        )
        for f in instances
        if not against[f.config.instance_id]
    }  # fmt: skip
    # When a tick is planned
    plan = LoadBalancer(random.Random(seed)).plan([Demand(asked, 9, tuple(free))], free, 9)
    # Then slots are on candidates only, no more than they have
    by_id = {f.config.instance_id: f for f in instances}
    for name, count in plan.slots.items():
        chosen = by_id[name]
        assert 0 < count <= chosen.free
        assert chosen.status is InstanceStatus.UP
        assert chosen.health is not Health.UNHEALTHY
        assert not chosen.breaker
        assert chosen.config.pool in ("shared", "spare")
        assert chosen.config.pool == "shared" or "fallback" in requirement.strategy
        assert requirement.region in ("", chosen.config.region)
        assert requirement.instance_id in ("", name)
        if requirement.capabilities:
            assert chosen.config.capabilities.get("gpu") == "yes"
    # And nothing that could be used was left lying
    assert sum(plan.slots.values()) == min(9, sum(by_id[name].free for name in free))


CONFIG = InstanceConfig("a", "x", capacity=4)
PLAIN = RequirementClass("k", "shared", Requirement())


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"status": InstanceStatus.DEAD}, "it is dead: its lease is over"),
        ({"status": InstanceStatus.DRAINING}, "it is draining"),
        ({"health": Health.UNHEALTHY, "health_reason": "3 probes failed"},
         "it is unhealthy: 3 probes failed"),
        ({"breaker": "breaker open until 12:03:10"}, "breaker open until 12:03:10"),
        ({"free": 0}, "all 4 slots are in use"),
        ({"cooling": "it refused a delivery a moment ago"}, "it refused a delivery a moment ago"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_stands_against_an_instance_is_said(changed: dict[str, object], says: str) -> None:
    given_facts = {"config": CONFIG, "status": InstanceStatus.UP, "free": 1, **changed}
    assert refusal(PLAIN, InstanceFacts(**given_facts)) == says  # type: ignore[arg-type]
