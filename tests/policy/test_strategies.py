"""The five strategies: what each prefers, and how evenly."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.strategies import check_strategy
from godel_tasks.policy.strategy import Candidate
from tests.policy.routing import candidate, fleet, wanted


def picks(
    strategy: str, instances: dict[str, Candidate], tasks: int, *, rounds: int = 1, **asked: object
) -> Counter[str]:
    """Slots by instance, over rounds in which everything planned before has ended."""
    balancer = LoadBalancer(random.Random(7), strategy, ("eu", "us"))
    found: Counter[str] = Counter()
    demand = Demand(wanted(strategy=strategy, **asked), tasks, tuple(instances))  # type: ignore[arg-type]
    for _ in range(rounds):
        before = {name: c.free for name, c in instances.items()}
        found.update(balancer.plan([demand], instances, tasks).slots)
        for name, c in instances.items():
            c.free = before[name]
    return found


def test_least_loaded_fills_the_fleet_evenly() -> None:
    # Given instances that are unevenly busy
    instances = fleet(candidate("a", 8), candidate("b", 4), candidate("c", 2))
    # When twelve tasks come
    found = picks("least-loaded", instances, 11)
    # Then all three end at the same level: one slot left on each
    assert found == {"a": 7, "b": 3, "c": 1}


def test_least_loaded_believes_an_instance_that_says_it_is_busy() -> None:
    instances = fleet(candidate("a", 8, backpressure=0.9), candidate("b", 4))
    assert picks("least-loaded", instances, 2) == {"b": 2}


def test_a_degraded_instance_is_used_when_the_healthy_ones_are_full() -> None:
    instances = fleet(candidate("sick", 8, degraded=True), candidate("well", 3))
    assert picks("least-loaded", instances, 5) == {"well": 3, "sick": 2}


def test_round_robin_takes_turns_by_capacity_whatever_the_load() -> None:
    # Given two instances, one of three times the capacity and nearly full
    instances = fleet(candidate("big", 4, 24), candidate("small", 8, 8))
    # When single tasks come, one after the other
    found = picks("round-robin", instances, 1, rounds=40)
    # Then the big one gets three of four
    assert found == {"big": 30, "small": 10}


def test_round_robin_is_smooth() -> None:
    # Given weights 5, 1, 1, as in nginx's example
    instances = fleet(candidate("a", 5, 5), candidate("b", 1, 1), candidate("c", 1, 1))
    balancer = LoadBalancer(random.Random(7))
    demand = Demand(wanted(strategy="round-robin"), 1, tuple(instances))
    order = []
    for _ in range(70):
        (name,) = balancer.plan([demand], instances, 1).slots
        instances[name].free += 1
        order.append(name)
    # Then shares are exact, and the two small ones never come at once
    assert Counter(order) == {"a": 50, "b": 10, "c": 10}
    gaps = [order[i : i + 7].count("a") for i in range(7, 63)]
    assert set(gaps) <= {4, 5, 6}


def test_an_instance_that_comes_back_has_no_turns_to_catch_up() -> None:
    instances = fleet(candidate("a", 8), candidate("b", 8))
    balancer = LoadBalancer(random.Random(7))
    alone = Demand(wanted(strategy="round-robin"), 1, ("a",))
    both = Demand(wanted(strategy="round-robin"), 1, ("a", "b"))
    for _ in range(100):
        balancer.plan([alone], instances, 1)
        instances["a"].free = 8
    order: Counter[str] = Counter()
    for _ in range(10):
        order.update(balancer.plan([both], instances, 1).slots)
        instances["a"].free = instances["b"].free = 8
    assert order == {"a": 5, "b": 5}


def test_geo_aware_keeps_to_the_nearest_region_and_spills_over_when_it_is_full() -> None:
    instances = fleet(
        candidate("eu1", 2, region="eu"),
        candidate("us1", 2, region="us"),
        candidate("ap1", 8, region="ap"),
    )
    # By the deployment's order: eu, us, then any other
    assert picks("geo-aware", instances, 2) == {"eu1": 2}
    assert picks("geo-aware", instances, 5) == {"eu1": 2, "us1": 2, "ap1": 1}
    # And by a task's own
    assert picks("geo-aware=us", instances, 2) == {"us1": 2}


def test_geo_aware_takes_the_quicker_instance_of_a_region() -> None:
    instances = fleet(
        candidate("far", 8, region="eu", latency_ms=80.0),
        candidate("near", 8, region="eu", latency_ms=5.0),
    )
    assert picks("geo-aware", instances, 4) == {"near": 4}


def test_capability_aware_weighs_what_is_preferred() -> None:
    instances = fleet(
        candidate("plain"),
        candidate("fast", capabilities={"gpu": "yes"}),
        candidate("large", capabilities={"memory_gb": "64"}),
    )
    prefer = {"gpu": "yes", "memory_gb": {">=": 32, "weight": 3}}
    assert picks("capability-aware", instances, 8, prefer=prefer) == {"large": 8}
    assert picks("capability-aware", instances, 12, prefer=prefer) == {"large": 8, "fast": 4}


def test_capability_aware_keeps_special_instances_for_those_who_need_them() -> None:
    instances = fleet(candidate("plain", 2), candidate("special", capabilities={"gpu": "yes"}))
    assert picks("capability-aware", instances, 2) == {"plain": 2}


def test_fallback_leaves_a_step_when_nothing_of_it_has_room() -> None:
    instances = fleet(
        candidate("eu1", 2, region="eu"),
        candidate("us1", 2, region="us"),
        candidate("spare1", 8, pool="spare"),
    )
    chain = "fallback=least-loaded@eu,round-robin@us,least-loaded/spare"
    found = picks(chain, instances, 6, more_pools=("spare",))
    assert found == {"eu1": 2, "us1": 2, "spare1": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("least-load", "did you mean 'least-loaded'?"),
        ("least-loaded=eu", "takes no list"),
        ("geo-aware=e u", "no region's name"),
        ("geo-aware=", "the list behind = is empty"),
        ("fallback", "has no steps"),
        ("fallback=geo-awar@eu", "did you mean 'geo-aware'?"),
        ("fallback=fallback", "unknown strategy"),
        ("fallback=least-loaded/a b", "no name"),
        ("", "unknown strategy"),
    ],
)
def test_a_wrong_strategy_is_told_with_what_is_right(text: str, says: str) -> None:
    wrong = check_strategy(text)
    assert wrong is not None
    assert says in f"{wrong.message} {wrong.hint}"


@pytest.mark.parametrize(
    "text",
    ["least-loaded", "round-robin", "geo-aware", "geo-aware=eu,us", "capability-aware",
     "fallback=geo-aware,least-loaded@us,/spare"],
)  # fmt: skip
def test_a_right_strategy_passes(text: str) -> None:
    assert check_strategy(text) is None
