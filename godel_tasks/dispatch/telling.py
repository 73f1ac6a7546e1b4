"""Teller: what happens to a flight, as events for whoever watches; none is built in vain."""

from __future__ import annotations

from collections.abc import Mapping

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.domain.task import TaskBody
from godel_tasks.events import (
    AttemptEnded,
    EventBus,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskRetried,
    TaskStarted,
)
from godel_tasks.policy.retry import Next

#: What became of a task whose attempt did not end it.
OUTCOMES = {Next.RETRY: "retried", Next.HOLD: "held", Next.HAND_BACK: "handed_back"}


class Teller:
    """Events of a dispatcher's flights. Times are wall time in seconds."""

    def __init__(self, ports: Ports) -> None:
        self._bus = ports.bus
        self._clock = ports.clock

    def claimed(self, flight: Flight) -> None:
        if self._bus.wanted(TaskClaimed):
            held, record = flight.held, flight.held.record
            flight.headers = dict(record.body.headers)
            queued_s = max(0, held.claimed_ms - record.entry_ms) / 1000
            self._bus.emit(
                TaskClaimed(
                    *self._who(flight),
                    self._now_s(),
                    queued_s,
                    record.body.correlation_id,
                    flight.headers,
                    *_family(record.body),
                )
            )

    def adopted(self, flight: Flight) -> None:
        if self._bus.wanted(TaskAdopted):
            body = flight.held.record.body
            flight.headers = dict(body.headers)
            self._bus.emit(
                TaskAdopted(
                    *self._who(flight),
                    self._now_s(),
                    body.correlation_id,
                    flight.headers,
                    *_family(body),
                )
            )

    def started(self, flight: Flight) -> None:
        if self._bus.wanted(TaskStarted):
            self._bus.emit(TaskStarted(*self._who(flight), self._now_s()))

    def ended(self, flight: Flight, outcome: Outcome | None, ours: bool) -> None:
        """The cell has the end of the attempt, or refused it because it is not ours any more."""
        ending = flight.ending
        if ending is None:
            return
        completion, decision, at_ms = ending
        if self._bus.wanted(AttemptEnded):
            if not ours:
                word = "taken_over"
            else:
                word = outcome.state.value.lower() if outcome else OUTCOMES[decision.next]
            self._bus.emit(
                AttemptEnded(
                    *self._who(flight),
                    word,
                    decision.reason,
                    outcome.error_type if outcome else completion.error_type,
                    at_ms / 1000,
                    self._now_s(),
                )
            )
        if ours and decision.next is Next.RETRY and self._bus.wanted(TaskRetried):
            self._bus.emit(
                TaskRetried(
                    *self._who(flight),
                    decision.reason,
                    self._now_s(),
                    decision.after_s,
                    flight.held.record.body.correlation_id,
                    completion.error_type,
                    completion.error_module,
                    completion.error_message,
                    completion.traceback,
                )
            )

    def _now_s(self) -> float:
        return self._clock.wall_ms() / 1000

    @staticmethod
    def _who(flight: Flight) -> tuple[str, str, int, str]:
        record = flight.held.record
        return record.task_id, record.tenant_id, record.attempt, flight.held.instance_id


def _family(body: TaskBody) -> tuple[str, str, str]:
    """Its session, and in a canvas the tasks that it comes from: the first one and the last."""
    celery = body.celery
    return (body.session_id, celery.get("root_id") or "", celery.get("parent_id") or "")


def tell_published(bus: EventBus, outcomes: Mapping[str, Outcome], at_s: float) -> None:
    """What follows from these outcomes, by task, is done. For jobs, too, which hold no flights."""
    if not bus.wanted(TaskPublished):
        return
    for task_id, outcome in outcomes.items():
        bus.emit(
            TaskPublished(
                task_id,
                outcome.tenant_id,
                outcome.attempt,
                outcome.instance_id,
                outcome.state.value,
                outcome.run_ms / 1000,
                at_s,
                outcome.correlation_id,
                outcome.result,
                outcome.error_type,
                outcome.error_module,
                outcome.error_message,
                outcome.traceback,
            )
        )
