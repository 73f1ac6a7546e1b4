"""Which instances of a pool are to be restarted next. Pure.

Never more than `max_unavailable` instances are unavailable because of it, never fewer than
`min_available` take work; what is dead already is restarted first, for that costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What a rollout does next."""

    RESTART = "restart"
    #: Until one of those in hand has come back.
    WAIT = "wait"
    DONE = "done"
    #: It cannot go on by itself.
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class RolloutMember:
    """One instance of the pool, to the planner."""

    instance_id: str
    #: It takes work.
    available: bool
    #: It is to be restarted, and was not begun yet.
    left: bool = False
    in_hand: bool = False
    #: It was restarted, and came back.
    done: bool = False
    #: Somebody else drains it: nobody counts on it.
    set_aside: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step, whom it is about, and why."""

    step: Step
    instance_ids: tuple[str, ...]
    reason: str


def plan(members: Sequence[RolloutMember], *, max_unavailable: int, min_available: int) -> Plan:
    """Decide; asked again whenever something has changed."""
    in_hand = [m.instance_id for m in members if m.in_hand]
    left = [m for m in members if m.left]
    broken = [m.instance_id for m in members if m.done and not m.available and not m.set_aside]
    if broken:
        return _stop(in_hand, f"{', '.join(broken)} came back, and takes no work any more")
    if not left:
        if in_hand:
            return Plan(Step.WAIT, tuple(in_hand), "the last ones are restarted")
        return Plan(Step.DONE, (), "all were restarted")
    room = max_unavailable - len(in_hand)
    free = [m.instance_id for m in left if not m.available]
    if free and room > 0:
        return Plan(Step.RESTART, tuple(free[:room]), "they take no work as it is")
    if room <= 0:
        return Plan(Step.WAIT, tuple(in_hand), f"{len(in_hand)} are restarted at once")
    # Of those that take no work now, some for other reasons: they use up the room, too.
    missing = sum(not m.available and not m.set_aside for m in members)
    available = sum(m.available for m in members)
    takes = min(room, max_unavailable - missing, available - min_available)
    busy = [m.instance_id for m in left if m.available]
    if takes > 0:
        words = f"{available} take work, {min_available} have to"
        return Plan(Step.RESTART, tuple(busy[:takes]), words)
    if missing >= max_unavailable and missing > len(in_hand):
        why = f"{missing} take no work, {max_unavailable} may"
    else:
        why = f"only {available} take work, and {min_available} have to"
    return _stop(in_hand, why)


def _stop(in_hand: Sequence[str], reason: str) -> Plan:
    if in_hand:
        return Plan(Step.WAIT, tuple(in_hand), reason)
    return Plan(Step.STOP, (), reason)
