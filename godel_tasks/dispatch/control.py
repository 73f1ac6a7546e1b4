"""FlightControl: every held task on its way to an instance, and back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flight, Flights, delivery_of
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.links import Links
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.dispatch.settler import Settler
from godel_tasks.dispatch.slotbank import SlotBank
from godel_tasks.dispatch.verdict import judge, settlement_of
from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.events import TaskClaimed, TaskRetried, TaskSettled, TaskStarted
from godel_tasks.instances.attempts import Refusal
from godel_tasks.policy.retry import CancelCause, Next
from godel_tasks.store.queue import Settlement
from godel_tasks.store.records import HeldTask

#: Seconds that an instance may take beyond an attempt's time before it is asked to stop it, and
#: again before the attempt counts as lost.
STOP_MARGIN_S = 2.0
STOP_CONFIRM_S = 5.0
#: Refusals of a process that started anew: what it was sent before may have run there.
_KNOWS_NOTHING = frozenset(
    {Refusal.OTHER_GENERATION, Refusal.UNKNOWN_INSTANCE, Refusal.UNKNOWN_ATTEMPT}
)


class FlightControl:
    """Launches, adopts, lands. `spawn` runs a coroutine beside; `on_free` hears of freed slots."""

    #: Comes with `bind`, before anything flies: each of the two needs the other.
    _settler: Settler

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        flights: Flights,
        fleet: FleetView,
        lease: LeaseKeeper,
        bank: SlotBank,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_free: Callable[[], None],
    ) -> None:
        self._ports = ports
        self._config = config
        self._flights = flights
        self._fleet = fleet
        self._lease = lease
        self._bank = bank
        self._spawn = spawn
        self._on_free = on_free
        self._links = Links(ports, self)
        self._unsent: set[str] = set()

    def bind(self, settler: Settler) -> None:
        self._settler = settler

    async def close(self) -> None:
        await self._links.close()

    # -- out ---------------------------------------------------------------------------------

    async def launch(self, cell: int, tasks: Iterable[HeldTask]) -> None:
        """Deliver what was just claimed."""
        fresh = [
            Flight(cell, h, self._fleet.endpoint(h.instance_id), may_have_run=False) for h in tasks
        ]
        for flight in fresh:
            self._flights.add(flight)
            self._tell_claimed(flight)
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
            self._unsent.add(flight.task_id)
            adopted.append(flight)
        self._spawn(self.send(adopted))

    async def send(self, flights: Sequence[Flight]) -> None:
        """Send attempts to their instances, batched by endpoint. Without a fresh lease, or while
        an instance cannot be reached, they wait for `resend`."""
        by_endpoint: dict[str, list[Flight]] = {}
        for flight in flights:
            if flight.settling:
                continue
            self._unsent.add(flight.task_id)
            if not self._fleet.alive(flight.held.instance_id, flight.held.generation):
                self._lose(flight, "its instance is gone")
            else:
                flight.endpoint = self._fleet.endpoint(flight.held.instance_id)
                by_endpoint.setdefault(flight.endpoint, []).append(flight)
        for endpoint, batch in by_endpoint.items():
            driver = self._fleet.members[batch[0].held.instance_id].record.config.driver
            connection = await self._links.open(driver, endpoint)
            if not connection.connected or not self._lease.fresh():
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
                self._land(flight, self._end(flight, End.TIMED_OUT, "its deadline passed"))
                return None
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
        if first and self._ports.bus.listening:
            record = flight.held.record
            self._ports.bus.emit(
                TaskStarted(
                    record.task_id,
                    record.tenant_id,
                    record.attempt,
                    flight.held.instance_id,
                    self._ports.clock.wall_ms() / 1000,
                )
            )

    async def resend(self) -> None:
        """Try again what could not be sent."""
        waiting = [f for i in list(self._unsent) if (f := self._flights.get(i)) and not f.settling]
        self._unsent = {flight.task_id for flight in waiting}
        if waiting:
            await self.send(waiting)

    # -- back: the connections' listener -----------------------------------------------------

    def on_completions(self, completions: Sequence[Completion]) -> None:
        for completion in completions:
            flight = self._flights.get(completion.task_id)
            if (
                flight is None
                or flight.settling
                or flight.held.record.attempt != completion.attempt
                or flight.held.instance_id != completion.instance_id
            ):
                self._acknowledge_unknown(flight, completion)
                continue
            forgotten = completion.error_type in _KNOWS_NOTHING and completion.end is End.REJECTED
            if forgotten and flight.in_doubt:
                completion = self._end(flight, End.LOST, completion.error_message)
            self._land(flight, completion)

    def on_connected(self, endpoint: str) -> None:
        again = [f for f in self._flights if f.endpoint == endpoint and not f.settling]
        if again:
            self._spawn(self.send(again))

    def on_disconnected(self, endpoint: str, error: str) -> None:
        """Nothing is decided here: the connection comes back, or the registry says who is dead."""

    def _acknowledge_unknown(self, flight: Flight | None, completion: Completion) -> None:
        """The end of something that is not ours (any more): its owner hears of it by asking with
        the same key, so it must stay stored. Only an older attempt of our own is done with."""
        if flight is None or completion.attempt >= flight.held.record.attempt:
            return
        connection = self._links.get(self._fleet.endpoint(completion.instance_id))
        if connection:
            connection.acknowledge(completion.instance_id, [completion.key])

    def on_instance_lost(self, instance_id: str, reason: str) -> None:
        """The registry says that this registration of the instance is over."""
        for flight in self._flights:
            if (
                flight.held.instance_id == instance_id
                and not flight.settling
                and not self._fleet.alive(instance_id, flight.held.generation)
            ):
                self._lose(flight, reason)

    def _lose(self, flight: Flight, reason: str) -> None:
        end = End.LOST if flight.may_have_run else End.REJECTED
        self._land(flight, self._end(flight, end, f"{flight.held.instance_id}: {reason}"))

    @staticmethod
    def _end(flight: Flight, end: End, message: str) -> Completion:
        record = flight.held.record
        return Completion(
            record.task_id, record.attempt, flight.held.instance_id, end, error_message=message
        )

    # -- landing -----------------------------------------------------------------------------

    def _land(self, flight: Flight, completion: Completion) -> None:
        if completion.end is End.LOST and not flight.held.record.body.on_uncertain:
            flight.settling = True
            self._spawn(self._land_by_tenant(flight, completion))
            return
        self._decide(flight, completion, "")

    async def _land_by_tenant(self, flight: Flight, completion: Completion) -> None:
        tenant_id = flight.held.record.tenant_id
        tenants = self._ports.cells[flight.cell].tenants
        choice = await insist(self._ports, lambda: tenants.on_uncertain(tenant_id))
        self._decide(flight, completion, choice)

    def _decide(self, flight: Flight, completion: Completion, tenant_on_uncertain: str) -> None:
        decision = judge(
            flight,
            completion,
            self._config,
            self._ports.rng,
            redis_now_ms=self._lease.redis_now_ms(),
            tenant_on_uncertain=tenant_on_uncertain,
        )
        settlement, outcome = settlement_of(
            flight,
            completion,
            decision,
            at_ms=self._ports.clock.wall_ms(),
            hold_for_ms=self._config.hold_for_ms,
        )
        if completion.end is End.REJECTED:
            self._fleet.cool(flight.held.instance_id)
        self._unsent.discard(flight.task_id)
        if completion.end in (End.LOST, End.REJECTED) and flight.may_have_run:
            # Whatever this attempt does there, its slot is not known to be free.
            self._spawn(self._orphan_then_settle(flight, settlement, outcome, completion.end))
            flight.settling = True
            return
        self._settler.add(flight, settlement, outcome)
        if decision.next is Next.RETRY and self._ports.bus.listening:
            self._tell_retried(flight, decision.reason)

    async def _orphan_then_settle(
        self, flight: Flight, settlement: Settlement, outcome: Outcome | None, end: End
    ) -> None:
        if end is End.LOST:
            flight.orphaned = True
            await self._bank.orphan(flight.held.instance_id, flight.held.slot, flight.key)
        self._settler.add(flight, settlement, outcome)

    def hand_back_unsent(self) -> None:
        """On the way out: what was claimed and not sent goes back, at no cost."""
        for flight in self._flights:
            if not flight.may_have_run and not flight.settling:
                self._land(flight, self._end(flight, End.REJECTED, "its dispatcher is draining"))

    def on_settled(
        self, flight: Flight, settlement: Settlement, outcome: Outcome | None, ours: bool
    ) -> None:
        """The store has it (or refused it, because somebody else owns the task)."""
        self._flights.drop(flight)
        if not ours:
            return
        held = flight.held
        if not flight.orphaned:
            self._bank.give_back(held.instance_id, held.slot)
        connection = self._links.get(flight.endpoint)
        if connection:
            connection.acknowledge(held.instance_id, [flight.key])
        self._on_free()
        if outcome is not None and self._ports.bus.listening:
            self._ports.bus.emit(
                TaskSettled(
                    flight.task_id,
                    held.record.tenant_id,
                    held.record.attempt,
                    held.instance_id,
                    outcome.state.value,
                    outcome.run_ms / 1000,
                    outcome.at_ms / 1000,
                    outcome.result[:200].decode(errors="replace"),
                    f"{outcome.error_type}: {outcome.error_message}" if outcome.error_type else "",
                )
            )

    # -- cancelling --------------------------------------------------------------------------

    def cancel(self, task_id: str, who: str) -> None:
        """Somebody wants the task stopped; repeated until the instance confirmed it."""
        flight = self._flights.get(task_id)
        if flight is None or flight.settling:
            return
        flight.cancel_by = who
        self._ask_to_stop(flight, CancelCause.PERSON)

    def check_times(self) -> None:
        """Attempts past their time are asked to stop, and counted as lost if they do not."""
        now = self._ports.clock.monotonic()
        for flight in self._flights:
            if flight.settling or not flight.timeout_at:
                continue
            if flight.cancel_asked_at and now - flight.cancel_asked_at > STOP_CONFIRM_S:
                if now > flight.timeout_at + STOP_MARGIN_S:
                    self._lose(flight, "did not stop the attempt when its time was up")
            elif not flight.cancel_asked_at and now > flight.timeout_at + STOP_MARGIN_S:
                self._ask_to_stop(flight, CancelCause.TIMEOUT)

    def _ask_to_stop(self, flight: Flight, cause: CancelCause) -> None:
        if flight.cancel_cause is not CancelCause.PERSON:
            flight.cancel_cause = cause
        if not flight.may_have_run:
            self._land(flight, self._end(flight, End.REJECTED, "cancelled before it was sent"))
            return
        connection = self._links.get(flight.endpoint)
        if connection:
            connection.cancel(flight.held.instance_id, [flight.key])
        if not flight.cancel_asked_at:
            flight.cancel_asked_at = self._ports.clock.monotonic()

    # -- telling -----------------------------------------------------------------------------

    def _tell_claimed(self, flight: Flight) -> None:
        if self._ports.bus.listening:
            record = flight.held.record
            at_s = self._ports.clock.wall_ms() / 1000
            self._ports.bus.emit(
                TaskClaimed(
                    record.task_id, record.tenant_id, record.attempt, flight.held.instance_id, at_s
                )
            )

    def _tell_retried(self, flight: Flight, reason: str) -> None:
        record = flight.held.record
        self._ports.bus.emit(
            TaskRetried(
                record.task_id,
                record.tenant_id,
                record.attempt,
                flight.held.instance_id,
                reason,
                self._ports.clock.wall_ms() / 1000,
            )
        )

    async def stray_runs(
        self, driver: str, endpoint: str, instance_id: str
    ) -> frozenset[str] | None:
        """Keys that an instance runs right now; None when it cannot be asked (yet: an instance
        that is full of orphans gets no delivery, so this may be what connects to it)."""
        connection = await self._links.open(driver, endpoint)
        if not connection.connected:
            return None
        try:
            return await connection.inventory(instance_id)
        except InstanceUnavailable:
            return None

    def stop_stray(self, endpoint: str, instance_id: str, key: str) -> None:
        connection = self._links.get(endpoint)
        if connection:
            connection.cancel(instance_id, [key])

    async def tidy_links(self) -> None:
        """Close connections that no member of the fleet and no flight needs."""
        used = {member.record.config.endpoint for member in self._fleet.members.values()}
        used.update(flight.endpoint for flight in self._flights)
        await self._links.close_unused(frozenset(used))
