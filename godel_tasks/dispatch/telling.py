"""Teller: what happens to a flight, as events for whoever watches; none is built in vain."""

from __future__ import annotations

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.events import TaskClaimed, TaskRetried, TaskSettled, TaskStarted


class Teller:
    """Events of a dispatcher's flights. Times are wall time in seconds."""

    def __init__(self, ports: Ports) -> None:
        self._bus = ports.bus
        self._clock = ports.clock

    def claimed(self, flight: Flight) -> None:
        if self._bus.wanted(TaskClaimed):
            self._bus.emit(TaskClaimed(*self._who(flight), self._now_s()))

    def started(self, flight: Flight) -> None:
        if self._bus.wanted(TaskStarted):
            self._bus.emit(TaskStarted(*self._who(flight), self._now_s()))

    def retried(self, flight: Flight, reason: str) -> None:
        if self._bus.wanted(TaskRetried):
            self._bus.emit(TaskRetried(*self._who(flight), reason, self._now_s()))

    def settled(self, flight: Flight, outcome: Outcome) -> None:
        if self._bus.wanted(TaskSettled):
            error = f"{outcome.error_type}: {outcome.error_message}" if outcome.error_type else ""
            self._bus.emit(
                TaskSettled(
                    *self._who(flight),
                    outcome.state.value,
                    outcome.run_ms / 1000,
                    outcome.at_ms / 1000,
                    outcome.result[:200].decode(errors="replace"),
                    error,
                )
            )

    def _now_s(self) -> float:
        return self._clock.wall_ms() / 1000

    @staticmethod
    def _who(flight: Flight) -> tuple[str, str, int, str]:
        record = flight.held.record
        return record.task_id, record.tenant_id, record.attempt, flight.held.instance_id
