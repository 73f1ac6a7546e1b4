"""AttemptTable: what one instance knows of its attempts. Pure: no I/O, no clock, no handler.

The gRPC server and the simulated driver both stand on it, so both keep the same promises:

    key is ...      a delivery of it gives               a cancel of it gives
    unknown         a `Running`, or REJECTED             REJECTED
    running         nothing now; the asker is told       the `Running` to stop; the asker is told
                    instead of who asked before          as well
    ended           the completion that was kept         the completion that was kept
    forgotten       LOST: it ran, and must not run       REJECTED
                    again unless somebody decides so

A key is forgotten when its completion was acknowledged or kept for too long.
Never more than `capacity` keys are running, whoever delivers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Generic, TypeVar

from godel_tasks.domain.attempt import Completion, Delivery, End

#: How long a completion waits to be acknowledged.
KEEP_S = 600.0
#: How often it is looked for completions that waited too long.
LOOK_EVERY_S = 1.0
#: How many completions wait to be acknowledged; the oldest goes first.
KEEP_COMPLETIONS = 10_000
#: How many forgotten keys are known to be such, at least (twice as many at most).
KEEP_FORGOTTEN = 10_000

Peer = TypeVar("Peer")


class Refusal(StrEnum):
    """Why an attempt was not started: the `error_type` of its completion."""

    UNKNOWN_INSTANCE = "UnknownInstance"
    OTHER_GENERATION = "OtherGeneration"
    DRAINING = "Draining"
    FULL = "Full"
    FORGOTTEN = "Forgotten"
    UNKNOWN_ATTEMPT = "UnknownAttempt"


def rejected(
    delivery: Delivery, refusal: Refusal, message: str, end: End = End.REJECTED
) -> Completion:
    """The answer to an attempt that is not started."""
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        end,
        error_type=refusal,
        error_message=message,
    )


def rejected_key(key: str, instance_id: str, refusal: Refusal, message: str) -> Completion:
    """As `rejected`, where only the key is known."""
    task_id, _, attempt = key.rpartition(":")
    number = int(attempt) if attempt.isdecimal() else 0
    return Completion(
        task_id or key,
        number,
        instance_id,
        End.REJECTED,
        error_type=refusal,
        error_message=message,
    )


class Running(Generic[Peer]):
    """An attempt that holds a slot."""

    __slots__ = (
        "acknowledged",
        "delivery",
        "key",
        "peer",
        "reported",
        "stopping",
        "watchers",
        "work",
    )

    def __init__(self, key: str, delivery: Delivery, peer: Peer | None) -> None:
        self.key = key
        self.delivery = delivery
        #: Who delivered it last, and gets its completion; None while that way is broken.
        self.peer = peer
        #: Who asked for it to be cancelled without having delivered it.
        self.watchers: tuple[Peer, ...] = ()
        #: Why it was asked to stop; the first reason stays.
        self.stopping: End | None = None
        #: The completion that was sent before it stopped.
        self.reported: Completion | None = None
        self.acknowledged = False
        #: Whatever the host keeps with it.
        self.work: Any = None

    def audience(self) -> tuple[Peer, ...]:
        """Who is told about its end."""
        return self.watchers if self.peer is None else (self.peer, *self.watchers)


class AttemptTable(Generic[Peer]):
    """See the module. Times are seconds of any one monotonic clock."""

    def __init__(self, instance_id: str, *, generation: int, capacity: int) -> None:
        self.instance_id = instance_id
        self.generation = generation
        self.capacity = capacity
        self.draining = False
        self.running: dict[str, Running[Peer]] = {}
        #: Most attempts that ever ran at once.
        self.peak = 0
        self._ended: OrderedDict[str, tuple[float, Completion]] = OrderedDict()
        #: When to look next for completions that were kept too long.
        self._look_at = 0.0
        self._forgotten = RecentKeys(KEEP_FORGOTTEN)

    def __repr__(self) -> str:
        drain = " draining" if self.draining else ""
        return (
            f"<AttemptTable {self.instance_id} generation {self.generation}: "
            f"{len(self.running)}/{self.capacity} running, {len(self._ended)} kept{drain}>"
        )

    def offer(self, delivery: Delivery, peer: Peer) -> Running[Peer] | Completion | None:
        """Decide on a delivery: run this, send this back, or nothing (it was adopted)."""
        key = delivery.key
        running = self.running
        known = running.get(key)
        if known is not None:
            known.peer = peer
            return known.reported
        if key in self._ended:
            return self._ended[key][1]
        refusal = self._refusal(key, delivery)
        if refusal is not None:
            return refusal
        started = running[key] = Running(key, delivery, peer)
        self.peak = max(self.peak, len(running))
        return started

    def _refusal(self, key: str, delivery: Delivery) -> Completion | None:
        if delivery.instance_id != self.instance_id:
            message = f"this is {self.instance_id!r}, not {delivery.instance_id!r}"
            return rejected(delivery, Refusal.UNKNOWN_INSTANCE, message)
        if key in self._forgotten:
            message = "this attempt has ended; its completion is not kept any more"
            return rejected(delivery, Refusal.FORGOTTEN, message, End.LOST)
        if delivery.generation != self.generation:
            message = f"generation {self.generation} serves now, not {delivery.generation}"
            return rejected(delivery, Refusal.OTHER_GENERATION, message)
        if self.draining:
            return rejected(delivery, Refusal.DRAINING, "the instance is draining")
        if len(self.running) >= self.capacity:
            message = f"all {self.capacity} slots are in use"
            return rejected(delivery, Refusal.FULL, message)
        return None

    def report(self, run: Running[Peer], completion: Completion) -> tuple[Peer, ...]:
        """The end is known, but it has not stopped: who is told; the slot stays in use."""
        run.reported = completion
        return run.audience()

    def end(self, run: Running[Peer], completion: Completion, now: float) -> tuple[Peer, ...]:
        """It has stopped: frees the slot and keeps the completion. Returns who is told."""
        if self.running.pop(run.key, None) is None:
            return ()
        if run.acknowledged:
            self._forgotten.add(run.key)
            return ()
        self._ended[run.key] = (now, run.reported or completion)
        if now >= self._look_at or len(self._ended) > KEEP_COMPLETIONS:
            self._forget_old(now)
        return () if run.reported is not None else run.audience()

    def cancel(self, key: str, peer: Peer) -> Running[Peer] | Completion:
        """Decide on a cancel: stop this, or send this back. Asking twice changes nothing."""
        run = self.running.get(key)
        if run is None:
            if key in self._ended:
                return self._ended[key][1]
            message = "no such attempt is known here"
            return rejected_key(key, self.instance_id, Refusal.UNKNOWN_ATTEMPT, message)
        if run.reported is not None:
            return run.reported
        if peer is not run.peer and peer not in run.watchers:
            run.watchers += (peer,)
        return run

    def acknowledge(self, keys: Iterable[str]) -> None:
        """Forget these completions; only their keys are remembered for a while."""
        for key in keys:
            if self._ended.pop(key, None) is not None:
                self._forgotten.add(key)
            else:
                run = self.running.get(key)
                if run is not None and run.reported is not None:
                    run.acknowledged = True

    def detach(self, peer: Peer) -> None:
        """This way is broken: what it delivered goes on, and waits for somebody to ask."""
        for run in self.running.values():
            if run.peer is peer:
                run.peer = None
            if peer in run.watchers:
                run.watchers = tuple(other for other in run.watchers if other is not peer)

    def _forget_old(self, now: float) -> None:
        self._look_at = now + LOOK_EVERY_S
        ended = self._ended
        while ended:
            at, _ = next(iter(ended.values()))
            if at > now - KEEP_S and len(ended) <= KEEP_COMPLETIONS:
                return
            key, _ = ended.popitem(last=False)
            self._forgotten.add(key)


class RecentKeys:
    """Remembers the last `at_least` keys, at most twice as many: two sets that take turns."""

    def __init__(self, at_least: int) -> None:
        self._at_least = at_least
        self._new: set[str] = set()
        self._old: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._new or key in self._old

    def add(self, key: str) -> None:
        self._new.add(key)
        if len(self._new) >= self._at_least:
            self._old, self._new = self._new, set()
