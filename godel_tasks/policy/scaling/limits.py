"""What bounds a wish: stabilisation windows, steps, floors and ceilings. Pure.

Windows and steps are those of Kubernetes' HorizontalPodAutoscaler, `behavior` of autoscaling/v2
(pkg/controller/podautoscaler/horizontal.go, stabilizeRecommendationWithBehaviors and
convertDesiredReplicasWithBehaviorRate).
"""

from __future__ import annotations

import math

from godel_tasks.domain.scaling import (
    Recommended,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
    StepLimit,
)
from godel_tasks.policy.scaling.schedule import floor_at


def remembered(
    memory: ScalingMemory, policy: ScalingPolicy, inputs: ScalingInputs, count: int
) -> tuple[Recommended, ...]:
    """The recommendations with a new one. With none to go by, the size that is there counts as
    recommended just now, so that whoever looks for the first time takes nothing down at once."""
    since = inputs.at_ms - 1000 * max(policy.up_window_s, policy.down_window_s)
    kept = [r for r in memory.recommended if r.last_ms >= since]
    if not kept:
        kept = [Recommended(inputs.at_ms, inputs.at_ms, inputs.size)]
    newest = kept[-1]
    if newest.count == count:
        kept[-1] = Recommended(newest.first_ms, inputs.at_ms, count)
    else:
        kept.append(Recommended(inputs.at_ms, inputs.at_ms, count))
    return tuple(kept)


def stabilised(
    recommended: tuple[Recommended, ...], policy: ScalingPolicy, inputs: ScalingInputs, count: int
) -> int:
    """Up no further than the least of the up window, down no further than the most of the down
    window."""

    def within(seconds: float) -> list[int]:
        since = inputs.at_ms - 1000 * seconds
        return [count, *(r.count for r in recommended if seconds > 0 and r.last_ms >= since)]

    lowest_up = min(within(policy.up_window_s))
    highest_down = max(within(policy.down_window_s))
    return min(max(inputs.size, lowest_up), highest_down)


def stepped(memory: ScalingMemory, policy: ScalingPolicy, inputs: ScalingInputs, count: int) -> int:
    """No further than the steps allow from the size at the period's start."""
    size = inputs.size
    if count > size and _bounded(policy.step_up):
        start = _size_before(memory, inputs, policy.step_up)
        most = max(start + policy.step_up.count, math.ceil(start * _share(policy.step_up, 1)))
        return min(count, max(size, most))
    if count < size and _bounded(policy.step_down):
        start = _size_before(memory, inputs, policy.step_down)
        least = min(
            start - policy.step_down.count, math.floor(start * _share(policy.step_down, -1))
        )
        return max(count, min(size, least))
    return count


def bounds(policy: ScalingPolicy, at_ms: int) -> tuple[int, str, int | None, str]:
    """The least size and what says so, the most (None: no limit) and what says so."""
    least, least_of = policy.min_instances, f"the minimum of {policy.min_instances}"
    scheduled = floor_at(policy.schedule, at_ms)
    if scheduled > least:
        least, least_of = scheduled, f"the schedule's floor of {scheduled}"
    most, most_of = policy.max_instances, f"the maximum of {policy.max_instances}"
    if policy.hourly_cost_usd > 0 and policy.hourly_ceiling_usd is not None:
        payable = math.floor(policy.hourly_ceiling_usd / policy.hourly_cost_usd + 1e-9)
        if most is None or payable < most:
            most = payable
            most_of = f"the ceiling of ${policy.hourly_ceiling_usd:g} an hour"
    if most is not None and least > most:
        least, least_of = most, most_of
    return least, least_of, most, most_of


def kept_ms(policy: ScalingPolicy) -> int:
    """How long changes have to be remembered."""
    periods = (policy.step_up.period_s, policy.step_down.period_s, policy.cooldown_s)
    return int(1000 * max(periods))


def _bounded(step: StepLimit) -> bool:
    return step.count > 0 or step.percent > 0


def _share(step: StepLimit, sign: int) -> float:
    return max(0.0, 1 + sign * step.percent / 100)


def _size_before(memory: ScalingMemory, inputs: ScalingInputs, step: StepLimit) -> int:
    since = inputs.at_ms - 1000 * step.period_s
    return inputs.size - sum(c.delta for c in memory.changes if c.at_ms > since)
