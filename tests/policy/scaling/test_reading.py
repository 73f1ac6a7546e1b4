"""Policies as people write them."""

from __future__ import annotations

import tomllib

import pytest

from godel_tasks.domain.scaling import ScalingMode, ScalingPolicy, ScheduleFloor, StepLimit
from godel_tasks.errors import InvalidScalingPolicy
from godel_tasks.policy.scaling.reading import policies_of


def read(text: str) -> list[ScalingPolicy]:
    return policies_of(tomllib.loads(text))


def test_a_file_says_it_all() -> None:
    (policy,) = read("""
        [scaling.shared]
        name = "office hours"
        mode = "recommend"
        min_instances = 2
        max_instances = 20
        step_up = { count = 3, period_s = 10 }
        [[scaling.shared.schedule]]
        floor = 5
        days = "mon-fri"
        start = "08:00"
        end = "18:00"
        timezone = "Europe/Berlin"
    """)
    assert policy == ScalingPolicy(
        "shared",
        "office hours",
        mode=ScalingMode.RECOMMEND,
        min_instances=2,
        max_instances=20,
        step_up=StepLimit(3, 0.0, 10.0),
        schedule=(ScheduleFloor(5, "mon-fri", "08:00", "18:00", "Europe/Berlin"),),
    )


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidScalingPolicy) as caught:
        read("""
            [pools]
            [scaling.shared]
            max_instance = 3
            rule = "treshold"
            [scaling.gpu]
            min_instances = 5
            max_instances = 3
            tolerance = -1
            target_utilization = 0
            schedule = [{ floor = 9, days = "mo-fr", timezone = "Mars/Olympus" }]
        """)
    assert caught.value.problems == [
        "pools: not known here; write [scaling.POOL]",
        "scaling.shared.max_instance: not known; did you mean 'max_instances'?",
        "scaling.shared.rule: invalid enum value 'treshold', got 'treshold'",
        "scaling.gpu.tolerance: expected a number that is not negative, got -1.0",
        "scaling.gpu.target_utilization: expected more than 0",
        "scaling.gpu.min_instances: expected at most max_instances (3), got 5",
        "scaling.gpu.schedule (mo-fr): expected at most max_instances (3), got 9",
        "scaling.gpu.schedule.days: expected daily, mon-fri, or sat,sun, got 'mo-fr'",
        "scaling.gpu.schedule.timezone: expected a name like Europe/Berlin, got 'Mars/Olympus'",
    ]


@pytest.mark.parametrize("text", ["", "scaling = 3", "[scaling]"])
def test_a_file_without_a_policy_is_refused(text: str) -> None:
    with pytest.raises(InvalidScalingPolicy, match=r"at least one table \[scaling\.POOL\]"):
        read(text)
