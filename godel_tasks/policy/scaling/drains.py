"""When a drained instance may be removed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.scaling import Draining


class DrainStep(StrEnum):
    """What is next."""

    CORDON = "cordon"
    WAIT = "wait"
    REMOVE = "remove"
    #: A person took it back: it is an instance like any other again.
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class DrainDecision:
    step: DrainStep
    reason: str


def drain_step(
    draining: Draining, *, status: InstanceStatus | None, used: int, now_ms: int
) -> DrainDecision:
    """The next step of one. `status` as the registry has it, None when it has left; `used` slots
    were read after `status`, and orphaned ones count: something may still run there."""
    if now_ms < draining.again_ms:
        return DrainDecision(DrainStep.WAIT, "its removal failed; it is tried again soon")
    if draining.removing:
        return DrainDecision(DrainStep.REMOVE, "its removal was begun")
    if status is None or status is InstanceStatus.DEAD:
        return DrainDecision(DrainStep.REMOVE, "it is dead" if status else "it has left")
    if status is InstanceStatus.UP:
        if draining.cordoned:
            return DrainDecision(DrainStep.LEAVE, "a person took it back")
        return DrainDecision(DrainStep.CORDON, "it is to drain")
    if used == 0:
        return DrainDecision(DrainStep.REMOVE, "it is idle")
    if now_ms >= draining.deadline_ms:
        slots = "1 slot" if used == 1 else f"{used} slots"
        return DrainDecision(DrainStep.REMOVE, f"its deadline is over, with {slots} in use")
    return DrainDecision(DrainStep.WAIT, f"{used} in use")
