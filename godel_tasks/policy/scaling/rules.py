"""The two rules: what a policy wants before anything bounds it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from godel_tasks.domain.scaling import ScalingInputs, ScalingMemory, ScalingPolicy, ScalingRule
from godel_tasks.policy.scaling.demand import needed, utilization

#: What a division may be off by, so that 3.0000000001 instances are three.
_DUST = 1e-9


@dataclass(frozen=True, slots=True)
class Wish:
    """The size that a rule wants, and why."""

    count: int
    reason: str


def threshold(policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory) -> Wish:
    """The roadmap's rule: out while queue depth *and* utilisation are above their thresholds, in
    while both are below, and never twice within the cooldown. Tasks whose provider is broken do not
    count towards growing."""
    size, used = inputs.size, utilization(policy, inputs)
    growing = inputs.queued - inputs.queued_blocked
    seen = f"{inputs.queued} waiting, {used:.0%} of the slots used"
    if growing > policy.scale_up_threshold and used > policy.scale_up_utilization:
        wish = Wish(size + policy.step, f"{seen}: above both thresholds")
    elif inputs.queued <= policy.scale_down_threshold and used < policy.scale_down_utilization:
        wish = Wish(max(0, size - policy.step), f"{seen}: below both thresholds")
    else:
        return Wish(size, f"{seen}: nothing to do")
    last = memory.changes[-1].at_ms if memory.changes else None
    if last is not None and inputs.at_ms - last < policy.cooldown_s * 1000:
        left = policy.cooldown_s - (inputs.at_ms - last) / 1000
        return Wish(size, f"{wish.reason}, but the cooldown goes on for {left:.0f} s")
    return wish


def target(policy: ScalingPolicy, inputs: ScalingInputs, memory: ScalingMemory) -> Wish:
    """Demand in slots over the slots of one instance, and the warm ones; within the tolerance
    nothing moves. Tasks whose provider is broken hold what there is, and ask for nothing more."""
    del memory
    everything = _count(policy, inputs, inputs.queued)
    if not inputs.queued_blocked:
        return everything
    served = _count(policy, inputs, inputs.queued - inputs.queued_blocked)
    held = min(everything.count, inputs.size)
    if held >= everything.count:
        return everything
    broken = ", ".join(inputs.open_providers)
    blocked = f"{inputs.queued_blocked} waiting tasks ask for nothing while {broken} is broken"
    return Wish(max(held, served.count), f"{served.reason}; {blocked}")


def _count(policy: ScalingPolicy, inputs: ScalingInputs, queued: int) -> Wish:
    need = needed(policy, inputs, queued)
    size, warm = inputs.size, policy.warm_instances
    seen = f"{queued} waiting and {inputs.running} running ask for {need:.2f} instances"
    if warm:
        seen += f", and {warm} are kept warm"
    if size and abs((need + warm) / size - 1) <= policy.tolerance + _DUST:
        return Wish(size, f"{seen}: within the tolerance of {size}")
    return Wish(math.ceil(need - _DUST) + warm, seen)


RULES: dict[ScalingRule, Callable[[ScalingPolicy, ScalingInputs, ScalingMemory], Wish]] = {
    ScalingRule.THRESHOLD: threshold,
    ScalingRule.TARGET: target,
}
