"""FlightControl: every held task on its way back: how it ended, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from godel_tasks.dispatch.breaking import Breaking
from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Ending, Flight, Flights
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.links import Links
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.dispatch.progress import ProgressWriter
from godel_tasks.dispatch.sender import Sender
from godel_tasks.dispatch.settler import Settler
from godel_tasks.dispatch.signals import Signals
from godel_tasks.dispatch.slotbank import SlotBank
from godel_tasks.dispatch.telling import OUTCOMES, Teller
from godel_tasks.dispatch.verdict import judge, settlement_of
from godel_tasks.domain.attempt import Completion, End, Progress
from godel_tasks.instances.attempts import Refusal
from godel_tasks.policy.retry import CancelCause
from godel_tasks.store.queue import Settlement

#: Seconds that an instance may take beyond an attempt's time before it is asked to stop it, and
#: again before the attempt counts as lost.
STOP_MARGIN_S = 2.0
STOP_CONFIRM_S = 5.0
#: Refusals of a process that started anew: what it was sent before may have run there.
_KNOWS_NOTHING = frozenset(
    {Refusal.OTHER_GENERATION, Refusal.UNKNOWN_INSTANCE, Refusal.UNKNOWN_ATTEMPT}
)


class FlightControl:
    """Lands flights, and asks for them to be stopped; its `sender` sends them out. `spawn` runs a
    coroutine beside; `on_free` hears of freed slots."""

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
        breaking: Breaking,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_free: Callable[[], None],
    ) -> None:
        self._ports = ports
        self._config = config
        self._flights = flights
        self._fleet = fleet
        self._lease = lease
        self._bank = bank
        self._breaking = breaking
        self._spawn = spawn
        self._on_free = on_free
        self._teller = Teller(ports)
        self.progress = ProgressWriter(ports, flights)
        self.signals = Signals(ports)
        self.links = Links(ports, self, fleet.reach)
        self.sender = Sender(
            ports, config, flights, fleet, lease, self.links, self._teller, spawn,
            self._lose, self._land_late, breaking,
        )  # fmt: skip

    def bind(self, settler: Settler) -> None:
        self._settler = settler

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

    def on_progress(self, progress: Progress) -> None:
        flight = self._flights.get(progress.task_id)
        if (
            flight is not None
            and not flight.settling
            and flight.held.record.attempt == progress.attempt
            and flight.held.instance_id == progress.instance_id
        ):
            self.progress.add(flight, progress)

    def on_connected(self, endpoint: str) -> None:
        self._fleet.reach.stands(endpoint)
        again = [f for f in self._flights if f.endpoint == endpoint and not f.settling]
        if again:
            self._spawn(self.sender.send(again))

    def on_disconnected(self, endpoint: str, error: str) -> None:  # noqa: ARG002 - the contract
        """Nothing is decided here: the connection comes back, or the registry says who is dead, or
        it stays out of reach for too long."""
        self._fleet.reach.broke(endpoint)

    def _acknowledge_unknown(self, flight: Flight | None, completion: Completion) -> None:
        """The end of something that is not ours (any more): its owner hears of it by asking with
        the same key, so it must stay stored. Only an older attempt of our own is done with."""
        if flight is None or completion.attempt >= flight.held.record.attempt:
            return
        connection = self.links.get(self._fleet.endpoint(completion.instance_id))
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

    def _land_late(self, flight: Flight) -> None:
        self._land(flight, self._end(flight, End.TIMED_OUT, "its deadline passed"))

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
        at_ms = self._ports.clock.wall_ms()
        flight.ending = Ending(completion, decision, at_ms)
        settlement, outcome = settlement_of(
            flight,
            completion,
            decision,
            at_ms=at_ms,
            hold_for_ms=self._config.hold_for_ms,
        )
        if decision.next in OUTCOMES:
            self._flights.counts[OUTCOMES[decision.next]] += 1
        self.signals.ended(flight, completion)
        self._breaking.note(flight, completion)
        if completion.end is End.REJECTED:
            self._fleet.cool(flight.held.instance_id)
        self.sender.forget(flight)
        if completion.end in (End.LOST, End.REJECTED) and flight.may_have_run:
            # Whatever this attempt does there, its slot is not known to be free.
            self._spawn(self._orphan_then_settle(flight, settlement, outcome, completion.end))
            flight.settling = True
            return
        self._settler.add(flight, settlement, outcome)

    async def _orphan_then_settle(
        self, flight: Flight, settlement: Settlement, outcome: Outcome | None, end: End
    ) -> None:
        if end is End.LOST:
            flight.orphaned = True
            await self._bank.orphan(flight.held.instance_id, flight.held.slot, flight.key)
        self._settler.add(flight, settlement, outcome)

    def hand_back_unsent(self, why: str, instance_id: str = "") -> None:
        """What was claimed (for that instance, if one is named) and not sent goes back, at no
        cost."""
        for flight in self._flights:
            if flight.may_have_run or flight.settling:
                continue
            if instance_id in ("", flight.held.instance_id):
                self._land(flight, self._end(flight, End.REJECTED, why))

    def on_settled(self, flight: Flight, outcome: Outcome | None, ours: bool) -> None:
        """The store has it (or refused it, because somebody else owns the task)."""
        self._flights.drop(flight)
        self._teller.ended(flight, outcome, ours)
        if not ours:
            return
        held = flight.held
        if not flight.orphaned:
            self._bank.give_back(held.instance_id, held.slot)
        connection = self.links.get(flight.endpoint)
        if connection:
            connection.acknowledge(held.instance_id, [flight.key])
        self._on_free()
        if outcome is not None:
            self._flights.counts[outcome.state.value.lower()] += 1

    # -- cancelling --------------------------------------------------------------------------

    def cancel(self, task_id: str, who: str) -> None:
        """Somebody wants the task stopped; repeated until the instance confirmed it."""
        flight = self._flights.get(task_id)
        if flight is None or flight.settling:
            return
        flight.cancel_by = who
        self._ask_to_stop(flight, CancelCause.PERSON)

    def check_times(self) -> None:
        """Attempts past their time are asked to stop, and counted as lost if they do not; so are
        those out of reach for too long."""
        now = self._ports.clock.monotonic()
        for flight in self._flights:
            if flight.settling or self._give_up(flight) or not flight.timeout_at:
                continue
            if flight.cancel_asked_at and now - flight.cancel_asked_at > STOP_CONFIRM_S:
                if now > flight.timeout_at + STOP_MARGIN_S:
                    self._lose(flight, "did not stop the attempt when its time was up")
            elif not flight.cancel_asked_at and now > flight.timeout_at + STOP_MARGIN_S:
                self._ask_to_stop(flight, CancelCause.TIMEOUT)

    def _give_up(self, flight: Flight) -> bool:
        """Its instance lives, and we cannot get there: what was not sent goes back at once, what
        may run there is lost after a while, its slot kept in use until somebody can ask."""
        reach = self._fleet.reach
        if not reach.lacks(flight.endpoint):
            return False
        if not flight.may_have_run:
            why = f"{flight.held.instance_id}: its dispatcher cannot reach it"
            self._land(flight, self._end(flight, End.REJECTED, why))
            return True
        down_s = reach.down_s(flight.endpoint)
        if down_s * 1000 < self._fleet.unreachable_after_ms(flight.held.instance_id):
            return False
        self._lose(flight, f"out of its dispatcher's reach for {down_s:.0f} s, though it lives")
        return True

    def _ask_to_stop(self, flight: Flight, cause: CancelCause) -> None:
        if flight.cancel_cause is not CancelCause.PERSON:
            flight.cancel_cause = cause
        if not flight.may_have_run:
            self._land(flight, self._end(flight, End.REJECTED, "cancelled before it was sent"))
            return
        connection = self.links.get(flight.endpoint)
        if connection:
            connection.cancel(flight.held.instance_id, [flight.key])
        if not flight.cancel_asked_at:
            flight.cancel_asked_at = self._ports.clock.monotonic()
