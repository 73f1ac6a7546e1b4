"""What another policy would have done with what was seen. Pure.

Stored looks are replayed at the pace at which they were made; where several in a row saw the same,
only the first is stored, and it is looked at again until the next one. Demand is as it was seen:
the queue of a larger fleet would have been shorter, and that of a smaller one longer. Size is the
replay's own: it follows its own decisions, and what came or went without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from godel_tasks.domain.scaling import (
    ScalingDecision,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
)
from godel_tasks.policy.scaling.decide import changed, decide

#: Milliseconds between two looks.
LOOK_EVERY_MS = 2000
#: A longer silence is no repetition: nobody looked.
LONGEST_REPEAT_MS = 90_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """One look: what was decided, and what would have been. `size` is the replay's before it."""

    was: ScalingDecision
    would: ScalingDecision
    size: int

    @property
    def was_after(self) -> int:
        """The size that was to be had then, by what was decided and acted on."""
        return _size_after(self.was)

    @property
    def would_after(self) -> int:
        return _size_after(self.would)

    @property
    def differs(self) -> bool:
        return self.was_after != self.would_after


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over a replay; instance hours are of the sizes decided on."""

    looks: int
    out_was: int
    out_would: int
    in_was: int
    in_would: int
    peak_was: int
    peak_would: int
    hours_was: float
    hours_would: float


def replay(policy: ScalingPolicy, stored: Sequence[ScalingDecision]) -> Iterator[Replayed]:
    """The looks of one pool, oldest first, under `policy`."""
    memory, size = ScalingMemory(), stored[0].inputs.size if stored else 0
    before: ScalingDecision | None = None
    for was in stored:
        if before is not None:
            for at_ms in _between(before, was):
                again = replace(before, inputs=replace(before.inputs, at_ms=at_ms))
                look, memory, size = _look(policy, again, memory, size)
                yield look
            # Instances that came or went by themselves come and go here, too.
            size = max(0, size + was.inputs.size - _size_after(before))
        look, memory, size = _look(policy, was, memory, size)
        yield look
        before = was


def _look(
    policy: ScalingPolicy, was: ScalingDecision, memory: ScalingMemory, size: int
) -> tuple[Replayed, ScalingMemory, int]:
    inputs = _with_size(was.inputs, size)
    would, memory = decide(policy, inputs, memory)
    after = _size_after(would)
    return Replayed(was, would, size), changed(memory, inputs.at_ms, after - size), after


def _with_size(inputs: ScalingInputs, size: int) -> ScalingInputs:
    fixed = inputs.size - inputs.removable
    removable = max(0, size - fixed)
    return replace(
        inputs,
        up=size,
        starting=0,
        removable=removable,
        pinned=min(inputs.pinned, removable),
        instances=(),
    )


def _size_after(decision: ScalingDecision) -> int:
    return decision.result if decision.acts else decision.inputs.size


def _between(first: ScalingDecision, following: ScalingDecision) -> Iterator[int]:
    """When the same was seen again, after a look that changed nothing."""
    start, end = first.inputs.at_ms, following.inputs.at_ms
    if _size_after(first) == first.inputs.size and end - start <= LONGEST_REPEAT_MS:
        yield from range(start + LOOK_EVERY_MS, end - LOOK_EVERY_MS // 2, LOOK_EVERY_MS)


def summary(looks: Sequence[Replayed]) -> Summary:
    """The two histories side by side."""
    hours_was = hours_would = 0.0
    for one, following in pairwise(looks):
        hours = max(0, following.would.inputs.at_ms - one.would.inputs.at_ms) / 3_600_000
        hours_was += hours * _size_after(one.was)
        hours_would += hours * _size_after(one.would)

    def moved(decisions: Sequence[ScalingDecision], sign: int) -> int:
        return sum(max(0, sign * (_size_after(d) - d.inputs.size)) for d in decisions)

    was, would = [look.was for look in looks], [look.would for look in looks]
    return Summary(
        looks=len(looks),
        out_was=moved(was, 1),
        out_would=moved(would, 1),
        in_was=moved(was, -1),
        in_would=moved(would, -1),
        peak_was=max(map(_size_after, was), default=0),
        peak_would=max(map(_size_after, would), default=0),
        hours_was=hours_was,
        hours_would=hours_would,
    )
