"""View: what a dispatcher does right now, as frozen values for whoever looks.

Taken on the dispatcher's loop, read on any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from godel_tasks.clock import Clock
from godel_tasks.dispatch.feeder import Feeder
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flight, Flights
from godel_tasks.dispatch.links import Links
from godel_tasks.domain.instance import InstanceRecord


@dataclass(frozen=True, slots=True)
class AttemptView:
    """A held task. `sent_at_s` is wall time, 0.0 while this dispatcher has not sent it; `may_run`
    is true for one that was sent, and for one that was taken over."""

    task_id: str
    tenant_id: str
    attempt: int
    level: int
    instance_id: str
    endpoint: str
    may_run: bool
    sent_at_s: float
    cancel_asked: bool


@dataclass(frozen=True, slots=True)
class MemberView:
    """An instance as this dispatcher sees it. `used` counts everybody's slots as of the last look,
    `mine` the attempts that this dispatcher holds there."""

    record: InstanceRecord
    used: int
    mine: int
    connected: bool
    #: Why a breaker keeps new work from it; "" when none does.
    breaker: str


@dataclass(frozen=True, slots=True)
class DispatchView:
    """`state` is "at work", "paused" or "draining". `counts` are since the dispatcher's start, by
    what happened to held tasks; `waiting` is known as of the last look; `unroutable` counts those
    of them that no registered instance could run, by class."""

    name: str
    state: str
    attempts: tuple[AttemptView, ...]
    members: tuple[MemberView, ...]
    counts: Mapping[str, int]
    waiting: int
    unroutable: Mapping[str, int]

    @property
    def running(self) -> tuple[AttemptView, ...]:
        return tuple(attempt for attempt in self.attempts if attempt.may_run)

    @property
    def unsent(self) -> tuple[AttemptView, ...]:
        return tuple(attempt for attempt in self.attempts if not attempt.may_run)


def view_of(
    name: str, flights: Flights, fleet: FleetView, feeder: Feeder, links: Links, clock: Clock
) -> DispatchView:
    """What these hold at this moment."""
    boot_s = clock.wall_ms() / 1000 - clock.monotonic()
    mine: dict[str, int] = {}
    for flight in flights:
        mine[flight.held.instance_id] = mine.get(flight.held.instance_id, 0) + 1
    return DispatchView(
        name,
        "draining" if feeder.draining else "paused" if feeder.paused else "at work",
        tuple(_attempt(flight, boot_s) for flight in flights),
        tuple(
            MemberView(
                member.record,
                member.used,
                mine.get(instance_id, 0),
                links.get(member.record.config.endpoint) is not None,
                fleet.breaker_refusal(member),
            )
            for instance_id, member in fleet.members.items()
        ),
        dict(flights.counts),
        sum(count for cell in feeder.cells for count in cell.waiting.values()),
        {
            name: count
            for cell in feeder.cells
            for name, count in cell.waiting.items()
            if count > 0 and name in cell.classes and not fleet.routable(cell.classes[name])
        },
    )


def _attempt(flight: Flight, boot_s: float) -> AttemptView:
    held = flight.held
    record = held.record
    return AttemptView(
        record.task_id,
        record.tenant_id,
        record.attempt,
        record.level,
        held.instance_id,
        flight.endpoint,
        flight.may_have_run,
        round(boot_s + flight.sent_at, 3) if flight.sent_at else 0.0,
        bool(flight.cancel_by),
    )
