"""Scaling decisions, example by example."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.scaling import (
    Change,
    Draining,
    InstanceLoad,
    ScalingInputs,
    ScalingMemory,
    ScalingMode,
    ScalingPolicy,
    ScalingRule,
    ScheduleFloor,
    StepLimit,
)
from godel_tasks.policy.scaling import DrainStep, choose, decide, drain_step
from godel_tasks.policy.scaling.schedule import floor_at
from godel_tasks.policy.scaling.taking import behind_pinned
from tests.policy.scaling.worlds import NOW_MS

TARGET = ScalingPolicy("shared", "grow", max_instances=50, step_up=StepLimit(), down_window_s=0)
THRESHOLD = replace(TARGET, rule=ScalingRule.THRESHOLD, step_down=StepLimit())


def look(**values: Any) -> ScalingInputs:
    found = {"removable": values.get("up", 0), **values}
    return ScalingInputs("shared", NOW_MS, **found)


def result(policy: ScalingPolicy, inputs: ScalingInputs, *changes: Change) -> int:
    return decide(policy, inputs, ScalingMemory(changes=changes))[0].result


# -- target ------------------------------------------------------------------------------------


def test_each_task_that_waits_or_runs_asks_for_a_slot() -> None:
    decision, _ = decide(
        TARGET, look(queued=7, running=4, up=1, slots_per_instance=4), ScalingMemory()
    )
    assert (decision.wanted, decision.result, decision.delta) == (3, 3, 2)
    assert decision.reason == "7 waiting and 4 running ask for 2.75 instances"
    assert (decision.policy, decision.clamps, decision.acts) == ("grow", (), True)


def test_a_queue_of_short_tasks_asks_for_what_works_it_off_in_time() -> None:
    policy = replace(TARGET, wait_target_s=10)
    # 1,000 tasks of 200 ms are 200 s of slots; 20 slots do that in 10 s
    assert result(policy, look(queued=1000, average_ms=200, slots_per_instance=4)) == 5
    # But never more slots than there are tasks
    assert result(policy, look(queued=8, average_ms=60_000, slots_per_instance=4)) == 2


def test_sessions_weigh_and_warm_instances_come_on_top() -> None:
    policy = replace(TARGET, slots_per_session=0.5, warm_instances=2)
    assert result(policy, look(sessions=6, slots_per_instance=1)) == 5


def test_a_pool_comes_back_from_nothing_and_goes_to_nothing() -> None:
    assert result(TARGET, look(queued=1, slots_per_instance=8)) == 1
    assert result(replace(TARGET, step_down=StepLimit()), look(up=3, slots_per_instance=8)) == 0


def test_the_down_window_holds_the_highest_recommendation_of_its_time() -> None:
    policy = replace(TARGET, down_window_s=60, step_down=StepLimit())
    memory = ScalingMemory()
    sizes = []
    for second, queued in ((0, 9), (2, 9), (30, 3), (61, 3), (63, 3), (94, 3)):
        inputs = replace(look(up=9, queued=queued), at_ms=NOW_MS + second * 1000)
        decision, memory = decide(policy, inputs, memory)
        sizes.append(decision.result)
    assert sizes == [9, 9, 9, 9, 3, 3]


def test_whoever_looks_first_takes_nothing_down_at_once() -> None:
    decision, _ = decide(replace(TARGET, down_window_s=300), look(up=9), ScalingMemory())
    assert decision.result == 9
    assert decision.clamps == ("9 by the stabilisation window of 300 s",)


def test_steps_count_from_the_size_at_the_periods_start() -> None:
    policy = replace(TARGET, step_up=StepLimit(4, 100.0, 15.0))
    assert result(policy, look(queued=100, up=2)) == 6
    assert result(policy, look(queued=100, up=2, starting=4), Change(NOW_MS - 2000, 4)) == 6
    assert result(policy, look(queued=100, up=6), Change(NOW_MS - 16_000, 4)) == 12
    down = replace(TARGET, step_down=StepLimit(1, 20.0, 60.0))
    assert result(down, look(up=20)) == 16
    assert result(down, look(up=16), Change(NOW_MS - 2000, -4)) == 16


# -- threshold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queued", "running", "wanted"),
    [(11, 9, 5), (10, 9, 4), (11, 6, 4), (0, 1, 3), (1, 1, 4), (0, 3, 4)],
    ids=["both above", "no queue", "room", "both below", "a queue", "in use"],
)
def test_the_roadmaps_rule_wants_both_thresholds(queued: int, running: int, wanted: int) -> None:
    inputs = look(up=4, queued=queued, running=running, slots_per_instance=2.5)
    assert result(THRESHOLD, inputs) == wanted


def test_the_cooldown_holds_both_ways() -> None:
    busy = look(up=4, queued=99, running=4)
    assert result(THRESHOLD, busy, Change(NOW_MS - 59_000, -1)) == 4
    assert result(THRESHOLD, busy, Change(NOW_MS - 60_000, -1)) == 5
    assert result(THRESHOLD, look(up=4), Change(NOW_MS - 59_000, 1)) == 4


# -- bounds ------------------------------------------------------------------------------------


def test_a_schedule_keeps_a_floor() -> None:
    office = ScheduleFloor(5, "mon-fri", "08:00", "18:00", "Europe/Berlin")
    night = ScheduleFloor(2, "fri", "22:00", "06:00")

    def at(text: str) -> int:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return floor_at((office, night), int(moment.timestamp() * 1000))

    assert at("2026-07-03T06:30") == 5  # a Friday, 08:30 in Berlin
    assert at("2026-07-03T16:30") == 0
    assert at("2026-07-03T23:00") == 2
    assert at("2026-07-04T05:59") == 2
    assert at("2026-07-04T06:00") == 0
    assert at("2026-07-04T23:00") == 0
    policy = replace(TARGET, schedule=(ScheduleFloor(5),))
    decision, _ = decide(policy, look(up=5), ScalingMemory())
    assert (decision.result, decision.clamps[-1]) == (5, "5 by the schedule's floor of 5")


def test_money_bounds_the_size() -> None:
    policy = replace(TARGET, hourly_cost_usd=0.1, hourly_ceiling_usd=0.3)
    decision, _ = decide(policy, look(queued=99), ScalingMemory())
    assert (decision.result, decision.clamps) == (3, ("3 by the ceiling of $0.3 an hour",))


@pytest.mark.parametrize(
    ("changes", "acts"),
    [
        ({}, True),
        ({"mode": ScalingMode.RECOMMEND}, False),
        ({"max_instances": None}, False),
        ({"hourly_cost_usd": 2.0}, False),
        ({"hourly_cost_usd": 2.0, "hourly_ceiling_usd": 20.0}, True),
        ({"hourly_cost_usd": 2.0, "hourly_ceiling_usd": 9.0, "max_instances": None}, False),
    ],
    ids=str,
)
def test_it_recommends_until_it_has_a_maximum_and_a_ceiling(
    changes: dict[str, Any], acts: bool
) -> None:
    assert replace(TARGET, **changes).acts is acts


def test_a_broken_provider_holds_what_there_is_and_grows_nothing() -> None:
    broken = look(up=4, queued=40, queued_blocked=40, running=0, open_providers=("acme",))
    assert result(TARGET, broken) == 4
    # But the tasks of others do
    assert result(TARGET, replace(broken, queued=49)) == 9
    assert result(THRESHOLD, replace(broken, running=4)) == 4


# -- who goes ----------------------------------------------------------------------------------


def test_idle_ones_go_first_then_those_with_fewest_sessions_then_the_newest() -> None:
    fleet = [
        InstanceLoad("busy", used=1, registered_ms=9),
        InstanceLoad("pinned", sessions=3, registered_ms=9),
        InstanceLoad("old", registered_ms=1),
        InstanceLoad("new", registered_ms=5),
        InstanceLoad("sick", healthy=False, registered_ms=1),
    ]
    order = [one.instance_id for one in choose(fleet, 9, take_pinned=True)]
    assert order == ["sick", "new", "old", "pinned", "busy"]
    assert [one.instance_id for one in choose(fleet, 4, take_pinned=False)] == [
        *("sick", "new", "old", "busy")
    ]


def test_where_only_the_last_one_can_go_it_does_whatever_it_runs() -> None:
    fleet = [
        InstanceLoad("gw-9", number=9),
        InstanceLoad("gw-11", used=2, number=11),
        InstanceLoad("gw-10", healthy=False, number=10),
        InstanceLoad("gw-8", sessions=1, number=8),
        InstanceLoad("gw-7", number=7),
    ]
    assert [one.instance_id for one in choose(fleet, 2, take_pinned=False)] == ["gw-11", "gw-10"]
    # Nobody gets past one that may not go
    free = [one.instance_id for one in choose(fleet, 9, take_pinned=False)]
    assert free == ["gw-11", "gw-10", "gw-9"]
    assert behind_pinned(fleet) == 2
    everybody = [one.instance_id for one in choose(fleet, 9, take_pinned=True)]
    assert everybody == ["gw-11", "gw-10", "gw-9", "gw-8", "gw-7"]


def test_a_pool_shrinks_no_further_than_its_pinned_instances() -> None:
    fleet = (InstanceLoad("a"), InstanceLoad("b", 0, 1), InstanceLoad("c", 0, 2))
    inputs = look(up=3, pinned=2, instances=fleet)
    policy = replace(TARGET, step_down=StepLimit(), slots_per_session=0)
    decision, _ = decide(policy, inputs, ScalingMemory())
    assert (decision.result, decision.take) == (2, ("a",))
    assert decision.clamps == ("2 because no others may be taken",)
    decision, _ = decide(replace(policy, take_pinned=True), inputs, ScalingMemory())
    assert (decision.result, decision.take) == (0, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("draining", "status", "used", "step"),
    [
        ({}, InstanceStatus.UP, 0, DrainStep.CORDON),
        ({"cordoned": True}, InstanceStatus.UP, 0, DrainStep.LEAVE),
        ({"cordoned": True}, InstanceStatus.DRAINING, 1, DrainStep.WAIT),
        ({"cordoned": True}, InstanceStatus.DRAINING, 0, DrainStep.REMOVE),
        ({"deadline_ms": NOW_MS}, InstanceStatus.DRAINING, 1, DrainStep.REMOVE),
        ({"again_ms": NOW_MS + 1}, InstanceStatus.DRAINING, 0, DrainStep.WAIT),
        ({}, InstanceStatus.DEAD, 1, DrainStep.REMOVE),
        ({}, None, 0, DrainStep.REMOVE),
        ({"removing": True}, InstanceStatus.UP, 1, DrainStep.REMOVE),
    ],
)
def test_the_steps_of_a_drain(
    draining: dict[str, Any], status: InstanceStatus | None, used: int, step: DrainStep
) -> None:
    one = replace(Draining("i1", NOW_MS - 1000, NOW_MS + 1000), **draining)
    assert drain_step(one, status=status, used=used, now_ms=NOW_MS).step is step
