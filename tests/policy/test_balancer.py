"""LoadBalancer: slots where they are wanted, and no class in another's way."""

from __future__ import annotations

import random

from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.strategy import Candidate


def free(**slots: int) -> dict[str, Candidate]:
    """Instances by name, of capacity 8, with that many free slots."""
    return {name: Candidate(name, 8, count) for name, count in slots.items()}


def test_a_slot_is_open_to_every_class_that_may_run_there() -> None:
    # Given two classes, the first with work enough for every free slot
    demands = [Demand("plain", 1000, ("a", "b"), ""), Demand("picky", 10, ("b",), "")]
    # When a tick is planned over few slots
    plan = LoadBalancer(random.Random(1)).plan(demands, free(a=2, b=1), 256)
    # Then all of them are reserved
    assert plan.slots == {"a": 2, "b": 1}
    # And claim may give the picky class the slot that suits it, and only that
    assert set(plan.preferences["plain"]) == {"a", "b"}
    assert plan.preferences["picky"] == ("b",)


def test_a_class_prefers_the_instance_that_was_picked_for_it() -> None:
    # Given two classes and one slot wanted, on the less loaded instance
    demands = [Demand("plain", 1, ("a", "b"), ""), Demand("other", 1, ("a", "b"), "")]
    plan = LoadBalancer(random.Random(1)).plan(demands, free(a=1, b=7), 2)
    # Then what was picked comes first
    assert plan.preferences["plain"][0] == "b"
    assert sum(plan.slots.values()) == 2


def test_a_class_without_a_suitable_slot_is_left_out() -> None:
    demands = [Demand("plain", 5, ("a",), ""), Demand("lost", 5, ("c",), "")]
    plan = LoadBalancer(random.Random(1)).plan(demands, free(a=3, b=3), 256)
    assert plan.slots == {"a": 3}
    assert set(plan.preferences) == {"plain"}
