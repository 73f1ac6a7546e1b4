"""What becomes of a message that could not be enqueued now: it waits, or it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.errors import GodelError, QueueFull, StoreError, StoreUnavailable

#: Pauses grow from the first to the longest, doubling.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 4.0
#: A store that answers, and refuses (it is full, or read-only during a failover), is given this
#: long: what it refuses for ever must not go round for ever.
REFUSING_STORE_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after so many seconds."""

    after_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the client that it failed."""

    reason: str


def after_failure(
    error: GodelError,
    *,
    tries: int,
    waited_s: float,
    patience_s: float,
    crowded: bool,
    jitter: float,
) -> Wait | Refuse:
    """Decide after `tries` tries, the first of which was `waited_s` seconds ago.

    `patience_s`: how long room in a full queue is waited for. `crowded`: as many messages as may
    wait for that do so already. `jitter`, 0 to 1, spreads the pauses.
    """
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 16), LONGEST_PAUSE_S) * (0.8 + 0.4 * jitter)
    if isinstance(error, StoreUnavailable):
        return Wait(pause_s, "the store does not answer")
    if isinstance(error, StoreError):
        if waited_s + pause_s > REFUSING_STORE_PATIENCE_S:
            return Refuse(f"the store refused it for {waited_s:.0f} s")
        return Wait(pause_s, "the store refuses it")
    if not isinstance(error, QueueFull):
        return Refuse("it would be refused again")
    if crowded:
        return Refuse("the queue is full, and many wait for room already")
    if waited_s + pause_s > patience_s:
        return Refuse(f"the queue was full for {waited_s:.1f} s")
    return Wait(pause_s, "the queue is full")
