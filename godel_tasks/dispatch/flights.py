"""Flights: the attempts that this dispatcher holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from godel_tasks.domain.attempt import Completion, Delivery
from godel_tasks.policy.retry import CancelCause, Decision
from godel_tasks.store.records import HeldTask


class Ending(NamedTuple):
    """The end of an attempt and the decision about its task. `at_ms` is wall time."""

    completion: Completion
    decision: Decision
    at_ms: int


class Flight:
    """One held task and how far it has come. Monotonic times in seconds, 0.0 for "not yet"."""

    __slots__ = (
        "cancel_asked_at",
        "cancel_by",
        "cancel_cause",
        "cell",
        "ending",
        "endpoint",
        "headers",
        "held",
        "in_doubt",
        "may_have_run",
        "orphaned",
        "running",
        "sent_at",
        "session_note",
        "settling",
        "till_deadline",
        "timeout_at",
    )

    def __init__(self, cell: int, held: HeldTask, endpoint: str, *, may_have_run: bool) -> None:
        self.cell = cell
        self.held = held
        self.endpoint = endpoint
        #: It was (or, for one taken over, may have been) sent to its instance.
        self.may_have_run = may_have_run
        #: It was sent again after it may have run: an instance that does not know it has forgotten.
        self.in_doubt = False
        self.sent_at = 0.0
        self.timeout_at = 0.0
        #: The time that its instance was given ends with the task's deadline.
        self.till_deadline = False
        #: The index says RUNNING.
        self.running = False
        self.settling = False
        #: How it ended and what follows, once that is decided.
        self.ending: Ending | None = None
        #: What goes to the instance in place of the task's own headers.
        self.headers: dict[str, str] | None = None
        #: Its run may go on: the slot is freed once the instance says that it does not run it.
        self.orphaned = False
        #: That its session was moved, for the result.
        self.session_note = ""
        self.cancel_cause = CancelCause.NONE
        self.cancel_by = ""
        self.cancel_asked_at = 0.0

    @property
    def task_id(self) -> str:
        return self.held.record.task_id

    @property
    def key(self) -> str:
        record = self.held.record
        return f"{record.task_id}:{record.attempt}"

    def __repr__(self) -> str:
        at = "settling" if self.settling else "sent" if self.sent_at else "claimed"
        return f"<Flight {self.key} on {self.held.instance_id} {at} epoch {self.held.epoch}>"


class Flights:
    """All flights of a dispatcher, by task."""

    def __init__(self) -> None:
        self._by_task: dict[str, Flight] = {}
        #: What happened to them so far: "taken", "retried", "handed_back", "held" (for a person),
        #: and terminal states in small letters.
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_task)

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._by_task.values()))

    def add(self, flight: Flight) -> None:
        self._by_task[flight.task_id] = flight
        self.counts["taken"] += 1

    def get(self, task_id: str) -> Flight | None:
        return self._by_task.get(task_id)

    def drop(self, flight: Flight) -> None:
        if self._by_task.get(flight.task_id) is flight:
            del self._by_task[flight.task_id]

    def of_cell(self, cell: int) -> list[Flight]:
        return [flight for flight in self._by_task.values() if flight.cell == cell]


def delivery_of(flight: Flight, *, timeout_ms: int) -> Delivery:
    """What is sent to the instance."""
    held = flight.held
    record, body = held.record, held.record.body
    return Delivery(
        task_id=record.task_id,
        attempt=record.attempt,
        instance_id=held.instance_id,
        generation=held.generation,
        tenant_id=record.tenant_id,
        payload=body.payload,
        encoding=body.encoding,
        timeout_ms=timeout_ms,
        session_id=body.session_id,
        correlation_id=body.correlation_id,
        headers=body.headers if flight.headers is None else flight.headers,
        may_have_run=flight.may_have_run,
    )
