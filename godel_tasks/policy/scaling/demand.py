"""Demand: what a pool's work asks for, in slots and in instances. Pure."""

from __future__ import annotations

from godel_tasks.domain.scaling import ScalingInputs, ScalingPolicy


def slots_of_one(policy: ScalingPolicy, inputs: ScalingInputs) -> float:
    """Slots of one instance, at least one."""
    return max(1.0, float(policy.slots_per_instance or inputs.slots_per_instance))


def queued_slots(policy: ScalingPolicy, inputs: ScalingInputs, queued: int) -> float:
    """Slots that so many waiting tasks ask for: one each, or as many as work them off within
    `wait_target_s` (Little's law: tasks times the time of one, over the time for all)."""
    if policy.wait_target_s <= 0 or inputs.average_ms <= 0:
        return float(queued)
    return min(float(queued), queued * inputs.average_ms / (policy.wait_target_s * 1000))


def busy_slots(policy: ScalingPolicy, inputs: ScalingInputs) -> float:
    """What runs, and the sessions that are pinned."""
    return inputs.running + inputs.sessions * policy.slots_per_session


def needed(policy: ScalingPolicy, inputs: ScalingInputs, queued: int) -> float:
    """Instances that the demand fills to `target_utilization`, not rounded."""
    demand = queued_slots(policy, inputs, queued) + busy_slots(policy, inputs)
    return demand / (slots_of_one(policy, inputs) * policy.target_utilization)


def utilization(policy: ScalingPolicy, inputs: ScalingInputs) -> float:
    """Share of the slots in use; starting instances count as free ones, none at all as full."""
    slots = inputs.size * slots_of_one(policy, inputs)
    return busy_slots(policy, inputs) / slots if slots else 1.0
