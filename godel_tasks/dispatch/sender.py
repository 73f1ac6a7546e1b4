"""Sender: held tasks on their way out to instances, batched by endpoint."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from godel_tasks.dispatch.breaking import Breaking
from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flight, Flights, delivery_of
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.links import Links
from godel_tasks.dispatch.sessionnotes import learn_notes
from godel_tasks.dispatch.telling import Teller
from godel_tasks.domain.attempt import Delivery
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.store.records import HeldTask


class Sender:
    """Launches what was claimed, adopts what was taken over, tries again what could not be sent.

    `on_gone(flight, reason)` hears of flights whose instance is no longer there, `on_late(flight)`
    of those whose deadline passed before they were sent. `spawn` runs a coroutine beside.
    """

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        flights: Flights,
        fleet: FleetView,
        lease: LeaseKeeper,
        links: Links,
        teller: Teller,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_gone: Callable[[Flight, str], None],
        on_late: Callable[[Flight], None],
        breaking: Breaking,
    ) -> None:
        self._ports = ports
        self._config = config
        self._flights = flights
        self._fleet = fleet
        self._lease = lease
        self._links = links
        self._teller = teller
        self._spawn = spawn
        self._on_gone = on_gone
        self._on_late = on_late
        self._breaking = breaking
        self._unsent: set[str] = set()

    def forget(self, flight: Flight) -> None:
        """It is decided: nothing is to be sent any more."""
        self._unsent.discard(flight.task_id)

    async def launch(self, cell: int, tasks: Iterable[HeldTask]) -> None:
        """Deliver what was just claimed."""
        fresh = [
            Flight(cell, h, self._fleet.endpoint(h.instance_id), may_have_run=False) for h in tasks
        ]
        for flight in fresh:
            self._flights.add(flight)
            self._teller.claimed(flight)
        await learn_notes(self._ports, self._ports.cells[cell], fresh)
        await self.send(fresh)

    def adopt(self, cell: int, tasks: Sequence[HeldTask]) -> None:
        """Tasks taken over (or found again): the same attempt is sent to the same instance, which
        answers with the run that it knows, or starts it if it never got it."""
        adopted = []
        for held in tasks:
            known = self._flights.get(held.record.task_id)
            if known is not None and known.held.epoch >= held.epoch:
                continue
            flight = Flight(cell, held, self._fleet.endpoint(held.instance_id), may_have_run=True)
            self._flights.add(flight)
            self._teller.adopted(flight)
            self._unsent.add(flight.task_id)
            adopted.append(flight)
        self._spawn(self._send_adopted(cell, adopted))

    async def _send_adopted(self, cell: int, adopted: Sequence[Flight]) -> None:
        await learn_notes(self._ports, self._ports.cells[cell], adopted)
        await self.send(adopted)

    async def send(self, flights: Sequence[Flight]) -> None:
        """Send attempts to their instances, batched by endpoint. Without a fresh lease, or while
        an instance cannot be reached, they wait for `resend`."""
        by_endpoint: dict[str, list[Flight]] = {}
        for flight in flights:
            if flight.settling:
                continue
            self._unsent.add(flight.task_id)
            if not self._fleet.alive(flight.held.instance_id, flight.held.generation):
                self._on_gone(flight, "its instance is gone")
            else:
                flight.endpoint = self._fleet.endpoint(flight.held.instance_id)
                by_endpoint.setdefault(flight.endpoint, []).append(flight)
        for batch in by_endpoint.values():
            record = self._fleet.members[batch[0].held.instance_id].record
            connection = await self._links.open(record.config)
            # Another boot than the registry knows: what may have run there is not decided here.
            known = record.boot_id in ("", connection.boot_id)
            if connection.problem:
                self._breaking.unreachable(batch)
            if not connection.connected or not known or not self._lease.fresh():
                continue
            now = self._ports.clock.monotonic()
            deliveries = [d for f in batch if not f.settling and (d := self._delivery(f, now))]
            try:
                connection.deliver(deliveries)
            except InstanceUnavailable:
                continue
            for flight in batch:
                if not flight.settling:
                    self._mark_sent(flight, now)

    def _delivery(self, flight: Flight, now: float) -> Delivery | None:
        record = flight.held.record
        timeout_ms = record.body.timeout_ms or self._config.attempt_timeout_ms
        if record.deadline_ms:
            left = record.deadline_ms - self._lease.redis_now_ms()
            if left <= 0 and not flight.may_have_run:
                self._on_late(flight)
                return None
            flight.till_deadline = left <= timeout_ms
            timeout_ms = max(1, min(timeout_ms, int(left)))
        if not flight.timeout_at:
            flight.timeout_at = now + timeout_ms / 1000
        return delivery_of(flight, timeout_ms=timeout_ms)

    def _mark_sent(self, flight: Flight, now: float) -> None:
        first = not flight.sent_at
        flight.sent_at = now
        flight.in_doubt = flight.may_have_run
        flight.may_have_run = True
        self._unsent.discard(flight.task_id)
        if first:
            self._teller.started(flight)

    async def resend(self) -> None:
        """Try again what could not be sent."""
        waiting = [f for i in list(self._unsent) if (f := self._flights.get(i)) and not f.settling]
        self._unsent = {flight.task_id for flight in waiting}
        if waiting:
            await self.send(waiting)
