"""From seconds to places in a plot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: [sent_s, wait_s, started] of one task.
Wait = Sequence[float]


@dataclass(frozen=True, slots=True)
class Scale:
    """The plot ends at `sent_s` to the right and at `wait_s` upwards, with a line each `step_s`."""

    sent_s: float
    wait_s: float
    step_s: float

    @classmethod
    def of(cls, sides: Iterable[Sequence[Wait]], *, lines: int = 4) -> Scale:
        """Wide and high enough for all these waits, with about so many lines."""
        waits = [wait for side in sides for wait in side]
        highest = max((wait for _, wait, _ in waits), default=0.0) or 1.0
        last = max((sent for sent, *_ in waits), default=0.0)
        step = round_step(highest / lines)
        return cls(math.floor(last) + 1, step * math.ceil(highest / step), step)

    def lines(self) -> list[float]:
        """Seconds of wait that have a line, from 0 on."""
        return [number * self.step_s for number in range(round(self.wait_s / self.step_s) + 1)]

    def ticks(self) -> range:
        """Seconds of the time axis that have a label."""
        return range(0, math.floor(self.sent_s) + 1, max(1, math.ceil(round_step(self.sent_s / 9))))


def round_step(about: float) -> float:
    """`about`, rounded up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= about * (1 - 1e-9))
