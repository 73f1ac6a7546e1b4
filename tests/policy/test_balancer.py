"""LoadBalancer: slots where they are wanted, and no class in another's way."""

from __future__ import annotations

import random

import pytest

from godel_tasks.domain.routing import Filtered
from godel_tasks.errors import NoHealthyInstancesError
from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.strategy import Candidate
from tests.policy.routing import candidate, fleet, wanted


def free(**slots: int) -> dict[str, Candidate]:
    """Instances by name, of capacity 8, with that many free slots."""
    return fleet(*(candidate(name, count) for name, count in slots.items()))


def balancer(strategy: str = "least-loaded") -> LoadBalancer:
    return LoadBalancer(random.Random(1), strategy)


def test_a_slot_is_open_to_every_class_that_may_run_there() -> None:
    # Given two classes, the first with work enough for every free slot
    demands = [Demand(wanted("plain"), 1000, ("a", "b")), Demand(wanted("picky"), 10, ("b",))]
    # When a tick is planned over few slots
    plan = balancer().plan(demands, free(a=2, b=1), 256)
    # Then all of them are reserved
    assert plan.slots == {"a": 2, "b": 1}
    # And claim may give the picky class the slot that suits it, and only that
    assert set(plan.preferences["plain"]) == {"a", "b"}
    assert plan.preferences["picky"] == ("b",)


def test_a_class_prefers_the_instance_that_was_picked_for_it() -> None:
    # Given two classes and one slot wanted, on the less loaded instance
    demands = [Demand(wanted("plain"), 1, ("a", "b")), Demand(wanted("other"), 1, ("a", "b"))]
    plan = balancer().plan(demands, free(a=1, b=7), 2)
    # Then what was picked comes first
    assert plan.preferences["plain"][0] == "b"
    assert sum(plan.slots.values()) == 2


def test_a_class_without_a_suitable_slot_is_left_out() -> None:
    demands = [Demand(wanted("plain"), 5, ("a",)), Demand(wanted("lost"), 5, ("c",))]
    plan = balancer().plan(demands, free(a=3, b=3), 256)
    assert plan.slots == {"a": 3}
    assert set(plan.preferences) == {"plain"}


def test_classes_take_turns_when_slots_are_short() -> None:
    # Given two classes that want the same few slots, and much of each waiting
    demands = [Demand(wanted("one"), 100, ("a", "b")), Demand(wanted("two"), 100, ("a", "b"))]
    plan = balancer().plan(demands, free(a=8, b=8), 16)
    # Then both were planned for
    assert sum(plan.picks["one"].values()) == 8
    assert sum(plan.picks["two"].values()) == 8


def test_a_small_batch_is_spread_over_a_large_fleet() -> None:
    # Given a hundred instances of eight slots, and as many tasks
    instances = fleet(*(candidate(f"i{n}") for n in range(100)))
    plan = balancer().plan([Demand(wanted(), 1000, tuple(instances))], instances, 100)
    # Then each gets one, though fewer scripts would do
    assert set(plan.slots.values()) == {1}


def test_route_says_where_and_why() -> None:
    # Given two instances, one of them busier, and one that was filtered
    decision = balancer().route(
        wanted(),
        [candidate("a", 2, latency_ms=3.0), candidate("b", 6, latency_ms=5.0, queued=1)],
        [Filtered("c", "it is draining")],
    )
    # Then the decision names the chosen one, what it is like, and everybody else
    assert decision.instance_id == "b"
    assert decision.estimated_latency == 5.0
    assert decision.queue_depth == 3
    assert decision.reason == "least-loaded: b (load 0.25)"
    assert [c.instance_id for c in decision.candidates] == ["b", "a"]
    assert decision.filtered == (Filtered("c", "it is draining"),)


def test_route_raises_when_nobody_can_take_it() -> None:
    against = [Filtered("a", "it is draining"), Filtered("b", "all 4 slots are in use")]
    with pytest.raises(NoHealthyInstancesError, match="a: it is draining; b: all 4 slots") as error:
        balancer().route(wanted(), [], against)
    # And it may be tried again: a queued task would wait
    assert error.value.retryable
    assert error.value.filtered == [("a", "it is draining"), ("b", "all 4 slots are in use")]


def test_a_strategy_that_is_not_installed_here_gives_way_to_the_default_and_says_so() -> None:
    decision = balancer().route(wanted(strategy="of-a-package"), [candidate("a")])
    assert decision.instance_id == "a"
    assert "not installed here: the default" in decision.reason
