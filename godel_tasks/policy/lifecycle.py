"""What is to be done about one instance that was made for a pool, when somebody looks after all.

The look joins three records that a kill may leave disagreeing: what was written down (made), what
its provider sees, and the registry. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.member import MemberState
from godel_tasks.domain.pool import MadeInstance, PoolConfig, ProvidedInstance, Wanted

#: An instance that lived for less died soon: the one after it waits before it is made.
SHORT_LIFE_MS = 60_000
#: How long it waits after the first such death; twice as long after each further one.
BACKOFF_MS = 2_000
BACKOFF_MAX_MS = 300_000


class Act(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    #: Write down that it is there.
    ADOPT = "adopt"
    #: Write down that it is being made: it may be about to register (again).
    WATCH = "watch"
    #: As ADOPT, and register it: its driver's instances do not do that by themselves.
    REGISTER = "register"
    #: End it, and remove all of it: it is half made, or somebody died while removing it.
    REMOVE = "remove"
    #: Forget that it was made: there is nothing of it.
    FORGET = "forget"
    #: Make another one in its place.
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Care:
    """What to do about one instance, and why."""

    act: Act
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one instance. `status` is the registry's word by its lease, None where
    it is not registered; `dead_ms` how long its lease has been over."""

    now_ms: int
    pool: PoolConfig
    made: MadeInstance | None
    provided: ProvidedInstance | None
    status: InstanceStatus | None
    dead_ms: int = 0
    self_registering: bool = True
    #: What was written down about the one that is made in its place.
    successor: MadeInstance | None = None
    #: Asked for its health just now, it answered; of those that run and whose lease is over.
    answers: bool = False


def care(known: Known) -> Care:
    """Decide."""
    made, provided = known.made, known.provided
    if made is None:
        return _unwritten(known)
    busy = made.until_ms > known.now_ms
    if busy:
        return Care(Act.NOTHING, "somebody is at it")
    if known.successor is not None:
        if known.successor.wanted is Wanted.UP:
            return Care(Act.REMOVE, f"{known.successor.instance_id} has taken its place")
        return Care(Act.NOTHING, f"{known.successor.instance_id} is to take its place")
    if made.wanted is Wanted.LEAVING:
        return Care(Act.REMOVE, "whoever was removing it did not finish")
    if made.wanted is Wanted.MAKING:
        return _half_made(known)
    if made.wanted is Wanted.STOPPED:
        return Care(Act.NOTHING, "an operator has stopped it")
    if provided is None and known.status is None:
        if not known.pool.replace:
            return Care(Act.FORGET, "nothing is left of it")
        return _replaced(known, "nothing is left of it")
    runs = provided is not None and provided.running
    if known.status in (InstanceStatus.UP, InstanceStatus.DRAINING):
        return Care(Act.NOTHING, "it is registered and alive")
    if runs and not known.self_registering and known.status is None:
        return Care(Act.REGISTER, "it runs and is not registered")
    if runs and known.answers:
        # After a stall of Redis all leases are over, and nothing has died.
        return Care(Act.NOTHING, "it runs and answers, only its lease is over")
    words = "it runs and does not answer" if runs else "it does not run"
    return _replaced(known, words)


def state_of(
    now_ms: int,
    made: MadeInstance | None,
    status: InstanceStatus | None,
    *,
    superseded: bool = False,
) -> MemberState:
    """What it is to whoever counts it; `superseded` when another one has taken its place."""
    if superseded:
        return MemberState.LEAVING
    if made is not None and made.wanted is Wanted.LEAVING:
        return MemberState.LEAVING
    if made is not None and made.wanted is Wanted.STOPPED:
        return MemberState.STOPPED
    if made is not None and made.wanted is Wanted.MAKING:
        return MemberState.MAKING if made.until_ms > now_ms else MemberState.DEAD
    if status is InstanceStatus.UP:
        return MemberState.UP
    if status is InstanceStatus.DRAINING:
        return MemberState.DRAINING
    return MemberState.DEAD


def backoff_ms(deaths: int) -> int:
    """How long to wait after so many of them have died soon, one after the other."""
    return 0 if deaths == 0 else min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** min(deaths - 1, 20))


def deaths_after(made: MadeInstance, now_ms: int) -> int:
    """The count that the one after it begins with."""
    return made.deaths + 1 if now_ms - made.since_ms < SHORT_LIFE_MS else 0


def _unwritten(known: Known) -> Care:
    provided = known.provided
    if provided is None:
        return Care(Act.NOTHING, "it was not made here")
    alive = known.status in (InstanceStatus.UP, InstanceStatus.DRAINING)
    if not provided.running:
        return Care(Act.REMOVE, "it was made, does not run, and nobody has written it down")
    if alive:
        return Care(Act.ADOPT, "it runs and is registered, and nobody has written it down")
    if not known.self_registering and provided.config is not None:
        return Care(Act.REGISTER, "it runs, and nobody has written it down")
    # After a loss of data instances register anew with their next heartbeat.
    return Care(Act.WATCH, "it runs, is not registered, and nobody has written it down")


def _half_made(known: Known) -> Care:
    runs = known.provided is not None and known.provided.running
    if runs and known.status in (InstanceStatus.UP, InstanceStatus.DRAINING):
        return Care(Act.ADOPT, "it runs and is registered; whoever made it died before saying so")
    if known.provided is None and known.status is None:
        return Care(Act.FORGET, "whoever was to make it died before it was begun")
    return Care(Act.REMOVE, "whoever was making it died over it")


def _replaced(known: Known, words: str) -> Care:
    made = known.made
    if not known.pool.replace or made is None:
        return Care(Act.NOTHING, f"{words}; the pool does not replace its dead")
    if known.pool.template is None:
        return Care(Act.NOTHING, f"{words}; the pool has no template to make another one from")
    if known.status is not None and known.dead_ms <= known.pool.replace_after_s * 1000:
        return Care(Act.NOTHING, f"{words}; it may come back")
    waits_ms = made.since_ms + backoff_ms(made.deaths) - known.now_ms
    if waits_ms > 0:
        return Care(Act.NOTHING, f"{words}; those before it died soon: wait {waits_ms} ms")
    return Care(Act.REPLACE, words)
