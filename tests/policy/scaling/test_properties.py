"""What holds of every scaling decision, whatever the policy and the day."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.scaling import (
    Change,
    Draining,
    Recommended,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
    ScalingRule,
    StepLimit,
)
from godel_tasks.policy.scaling import DrainStep, decide, drain_step
from tests.policy.scaling.worlds import NOW_MS, PoolWorld, policies, seen, with_work

memories = st.builds(
    ScalingMemory,
    recommended=st.lists(
        st.integers(0, 40).map(lambda n: Recommended(NOW_MS - 9000, NOW_MS - 2000, n)), max_size=3
    ).map(tuple),
    changes=st.lists(
        st.tuples(st.integers(1, 70), st.integers(-3, 3)).map(
            lambda pair: Change(NOW_MS - pair[0] * 1000, pair[1])
        ),
        max_size=3,
    ).map(tuple),
)


@given(policies(), seen(), memories)
def test_never_below_the_minimum_nor_above_the_maximum(
    policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory
) -> None:
    decision, _ = decide(policy, inputs, memory)
    assert policy.max_instances is not None
    assert policy.min_instances <= decision.result <= policy.max_instances
    # And no more are taken than go down, none twice, and no pinned one against the policy
    assert len(decision.take) <= max(0, -decision.delta)
    assert len(set(decision.take)) == len(decision.take)
    pinned = {one.instance_id for one in inputs.instances if one.sessions}
    assert policy.take_pinned or not pinned & set(decision.take)


@given(policies(), seen(), memories, st.integers(0, 100), st.integers(0, 50))
def test_more_work_never_asks_for_less(
    policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory, queued: int, running: int
) -> None:
    less, _ = decide(policy, inputs, memory)
    more, _ = decide(policy, with_work(inputs, queued=queued, running=running), memory)
    assert more.result >= less.result


@given(
    policies(step_up=StepLimit(), rule=ScalingRule.TARGET),
    st.integers(0, 150),
    st.integers(1, 5),
    st.integers(0, 50),
)
@settings(max_examples=60, deadline=None)
def test_constant_demand_never_makes_it_oscillate(
    policy: ScalingPolicy, demand: int, slots: int, up: int
) -> None:
    # Given a pool under constant demand
    world = PoolWorld(policy, demand, slots, up)
    # When it is looked at for a while
    sizes = [world.size]
    for _ in range(120):
        world.tick()
        sizes.append(world.size)
    # Then its size goes one way only, and comes to rest (down takes as long as its steps allow)
    moves = [b - a for a, b in pairwise(sizes) if a != b]
    assert all(m > 0 for m in moves) or all(m < 0 for m in moves), moves


@given(policies(rule=ScalingRule.THRESHOLD), st.integers(0, 150), st.integers(1, 5), st.data())
@settings(max_examples=60, deadline=None)
def test_a_constant_queue_moves_the_threshold_rule_one_way_only(
    policy: ScalingPolicy, queued: int, slots: int, data: st.DataObject
) -> None:
    # Given a queue that stays as long as it is, whatever the size
    up = data.draw(st.integers(0, 40))
    memory = ScalingMemory()
    directions = set()
    for tick in range(60):
        inputs = ScalingInputs(
            "shared",
            NOW_MS + tick * 2000,
            queued=queued,
            running=min(up * slots, 20),
            up=up,
            removable=up,
            slots_per_instance=slots,
        )
        decision, memory = decide(policy, inputs, memory)
        directions.add((decision.delta > 0) - (decision.delta < 0))
        up = decision.result
    assert not {1, -1} <= directions


@given(st.lists(st.integers(-9, 9), min_size=5, max_size=40), st.sampled_from([0.0, 20.0]))
def test_a_metric_that_flaps_within_the_tolerance_does_nothing(
    wobbles: list[int], window_s: float
) -> None:
    # Given ten instances of ten slots, and a demand of 100 give or take 9
    policy = ScalingPolicy(
        "shared", max_instances=50, tolerance=0.1, up_window_s=window_s, down_window_s=window_s
    )
    memory = ScalingMemory()
    for tick, wobble in enumerate(wobbles):
        inputs = ScalingInputs(
            "shared",
            NOW_MS + tick * 2000,
            queued=10 + wobble,
            running=90,
            up=10,
            removable=10,
            slots_per_instance=10,
        )
        decision, memory = decide(policy, inputs, memory)
        assert decision.delta == 0, decision.reason


@given(policies(rule=ScalingRule.TARGET), seen(), memories)
def test_what_is_starting_is_not_asked_for_again(
    policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory
) -> None:
    # Given a decision to grow that was carried out: all that it asked for is starting
    first, memory = decide(policy, replace(inputs, instances=()), memory)
    grown = max(0, first.delta)
    again = replace(first.inputs, starting=inputs.starting + grown, at_ms=NOW_MS + 2000)
    # When the same is seen a moment later, then no more than the rule's answer is asked for in all
    policy = replace(policy, step_up=StepLimit(), up_window_s=0.0)
    second, _ = decide(policy, again, ScalingMemory(memory.recommended))
    least = max(policy.min_instances, second.wanted)
    assert second.result <= max(again.size, least)


@given(
    st.builds(
        Draining,
        instance_id=st.just("i1"),
        since_ms=st.just(NOW_MS),
        deadline_ms=st.integers(NOW_MS, NOW_MS + 100_000),
        cordoned=st.booleans(),
    ),
    st.sampled_from(InstanceStatus),
    st.integers(1, 9),
    st.integers(0, 200_000),
)
def test_running_work_is_never_killed_before_its_deadline(
    draining: Draining, status: InstanceStatus, used: int, after_ms: int
) -> None:
    now_ms = NOW_MS + after_ms
    decision = drain_step(draining, status=status, used=used, now_ms=now_ms)
    if decision.step is DrainStep.REMOVE and status is not InstanceStatus.DEAD:
        assert now_ms >= draining.deadline_ms


@given(policies(), seen(), memories)
def test_a_broken_provider_never_grows_the_fleet_for_its_tasks(
    policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory
) -> None:
    # Given that all that waits is of a provider whose breaker is open
    inputs = replace(inputs, queued_blocked=inputs.queued)
    without = replace(inputs, queued=0, queued_blocked=0)
    # Then it grows no further than it would without those tasks
    decision, _ = decide(policy, inputs, memory)
    other, _ = decide(policy, without, memory)
    assert decision.result <= max(other.result, inputs.size, policy.min_instances)
