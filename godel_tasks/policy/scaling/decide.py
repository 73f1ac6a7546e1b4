"""One look at a pool: values in, a decision with its reason and the new memory out. Pure."""

from __future__ import annotations

from dataclasses import replace

from godel_tasks.domain.scaling import (
    Change,
    ScalingDecision,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
    ScalingRule,
)
from godel_tasks.policy.scaling.limits import bounds, kept_ms, remembered, stabilised, stepped
from godel_tasks.policy.scaling.rules import RULES
from godel_tasks.policy.scaling.taking import choose


def decide(
    policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory
) -> tuple[ScalingDecision, ScalingMemory]:
    """What the size of the pool should be, and who goes when it is smaller.

    The result is never below the minimum or the schedule's floor, and never above the maximum or
    what the hourly ceiling pays for; where they contradict each other, the upper one holds.
    """
    wish = RULES[policy.rule](policy, inputs, memory)
    count, clamps = wish.count, []
    recommended = memory.recommended
    if policy.rule is ScalingRule.TARGET:
        recommended = remembered(memory, policy, inputs, count)
        steady = stabilised(recommended, policy, inputs, count)
        if steady != count:
            window = policy.up_window_s if steady < count else policy.down_window_s
            clamps.append(f"{steady} by the stabilisation window of {window:g} s")
            count = steady
    small = stepped(memory, policy, inputs, count)
    if small != count:
        clamps.append(f"{small} by the step limit")
        count = small
    may_go = inputs.removable - (0 if policy.take_pinned else inputs.pinned)
    if count < inputs.size - may_go:
        count = inputs.size - may_go
        clamps.append(f"{count} because no others may be taken")
    least, least_of, most, most_of = bounds(policy, inputs.at_ms)
    if count < least:
        clamps.append(f"{least} by {least_of}")
        count = least
    if most is not None and count > most:
        clamps.append(f"{most} by {most_of}")
        count = most
    take = choose(inputs.instances, inputs.size - count, take_pinned=policy.take_pinned)
    decision = ScalingDecision(
        inputs=inputs,
        rule=policy.rule,
        wanted=wish.count,
        clamps=tuple(clamps),
        result=count,
        reason=wish.reason,
        acts=policy.acts,
        policy=policy.reason,
        take=tuple(one.instance_id for one in take),
    )
    since = inputs.at_ms - kept_ms(policy)
    changes = tuple(c for c in memory.changes if c.at_ms > since)
    return decision, ScalingMemory(recommended, changes)


def changed(memory: ScalingMemory, at_ms: int, delta: int) -> ScalingMemory:
    """The memory once the size was changed."""
    if not delta:
        return memory
    return replace(memory, changes=(*memory.changes, Change(at_ms, delta)))
