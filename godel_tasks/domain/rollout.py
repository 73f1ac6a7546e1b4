"""Rollout: a rolling restart of a pool, as it is written down. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a rolling restart stands. Times are on Redis's clock.

    `todo` holds the ids of all that were there when it began and that their providers can restart;
    `in_hand` those that are drained or restarted at this moment (or were when it was broken off);
    `done` those that came back. `set_aside` were drained by somebody else before: they are
    restarted, and go on draining. `stopped` says why it does not go on by itself; "" while it does.
    """

    pool: str
    started_ms: int
    max_unavailable: int
    drain_deadline_s: float
    todo: tuple[str, ...]
    in_hand: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()
    #: Their providers cannot restart them.
    skipped: tuple[str, ...] = ()
    stopped: str = ""
    #: Until then whoever carries it out was last known to live.
    until_ms: int = 0

    @property
    def left(self) -> tuple[str, ...]:
        """Not begun yet."""
        return tuple(i for i in self.todo if i not in self.done and i not in self.in_hand)
