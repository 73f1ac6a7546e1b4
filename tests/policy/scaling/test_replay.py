"""Replaying stored looks against a policy."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from godel_tasks.domain.scaling import ScalingDecision, ScalingPolicy, StepLimit
from godel_tasks.policy.scaling.replay import replay, summary
from tests.policy.scaling.worlds import PoolWorld, policies


def stored(history: list[ScalingDecision]) -> list[ScalingDecision]:
    """As the autoscaler keeps it: without looks that saw and said the same as the one before."""
    kept: list[ScalingDecision] = []
    for decision in history:
        blank = replace(decision, inputs=replace(decision.inputs, at_ms=0, instances=()))
        if kept and replace(kept[-1], inputs=replace(kept[-1].inputs, at_ms=0)) == blank:
            continue
        kept.append(replace(decision, inputs=replace(decision.inputs, instances=())))
    return kept


def played(policy: ScalingPolicy, load: list[int], looks: int = 3) -> list[ScalingDecision]:
    """What was stored of a day on which demand went like that, so many looks each."""
    world = PoolWorld(policy, 0, 2, up=policy.min_instances)
    for world.demand in load:
        for _ in range(looks):
            world.tick()
    return stored(world.history)


@given(policies(), st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_the_policy_that_was_in_force_would_have_done_what_it_did(
    policy: ScalingPolicy, load: list[int], each: int
) -> None:
    looks = list(replay(policy, played(policy, load, each)))
    assert [look for look in looks if look.differs] == []
    one = summary(looks)
    assert (one.out_was, one.in_was, one.peak_was) == (one.out_would, one.in_would, one.peak_would)
    assert one.hours_was == one.hours_would


def test_another_policy_shows_what_it_would_have_done() -> None:
    # Given a day with a peak, under a policy with a low maximum
    low = ScalingPolicy("shared", max_instances=3, min_instances=1, step_up=StepLimit())
    history = played(low, [2, 40, 40, 2, 2, 2, 2])
    # When it is replayed with a higher one
    looks = list(replay(replace(low, max_instances=20), history))
    # Then it would have grown further, and cost more hours
    one = summary(looks)
    assert (one.peak_was, one.peak_would) == (3, 20)
    assert one.hours_would > one.hours_was
    first = next(look for look in looks if look.differs)
    assert (first.was.result, first.would.result) == (3, 20)


def test_a_recommendation_that_was_not_followed_is_no_growth() -> None:
    quiet = ScalingPolicy("shared", min_instances=1)
    looks = list(replay(replace(quiet, max_instances=5), played(quiet, [8, 8])))
    assert summary(looks).peak_was == 1
    assert summary(looks).peak_would == 4
