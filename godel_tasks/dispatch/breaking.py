"""Breaking: what ends of attempts say of instances and providers, told to their breakers.

Told in batches beside the hot path: bad news, and whatever a breaker that is not closed waits for,
within a quarter of a second; good news with it, or after a while. What cannot be told is dropped:
it is worth less than the tasks are, and a probe's permit comes back by its lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.seen import SeenInstance
from godel_tasks.domain.attempt import Completion
from godel_tasks.domain.breaker import (
    INSTANCE_BREAKER,
    BreakerSnapshot,
    BreakerState,
    CallOutcome,
    ErrorKind,
)
from godel_tasks.errors import StoreError
from godel_tasks.events import BreakerMoved
from godel_tasks.policy.blame import outcome_of, provider_breakers
from godel_tasks.store.breakers import BreakerReply
from godel_tasks.store.command import Command

#: Outcomes are written at most so often.
WRITE_EVERY_S = 0.25
#: Outcomes that went well, of a closed breaker, may wait so long.
QUIET_EVERY_S = 5.0
#: But never more of them than this.
MOST_QUIET = 2000
#: While work waits for an instance that cannot be reached, that counts so often.
UNREACHABLE_EVERY_S = 0.5
#: Seconds that the number of live dispatchers may be old.
COUNT_EVERY_S = 2.0

_EVENTS = {
    BreakerState.OPEN: "breaker.opened",
    BreakerState.HALF_OPEN: "breaker.half_opened",
    BreakerState.CLOSED: "breaker.closed",
}


@dataclass
class _Batch:
    """What one breaker is to be told. `since` is monotonic."""

    since: float
    letters: str = ""
    #: Slots that are (or may be) permits, and what became of them.
    probes: dict[str, str] = field(default_factory=dict)
    urgent: bool = False


class Breaking:
    """One dispatcher's part in all breakers."""

    def __init__(
        self, ports: Ports, config: DispatchConfig, dispatcher: str, fleet: FleetView
    ) -> None:
        self._ports = ports
        self._config = config
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._view = fleet.breakers
        self._batches: dict[str, _Batch] = {}
        self._moves: list[BreakerSnapshot] = []
        self._filled = asyncio.Event()
        self._unreachable_at: dict[str, float] = {}
        self._live, self._counted_at = 1, float("-inf")

    # -- what is noted -----------------------------------------------------------------------

    def note(self, flight: Flight, completion: Completion) -> None:
        """An attempt ended so."""
        held = flight.held
        member = self._fleet.members.get(held.instance_id)
        if member is None:
            return
        blame = outcome_of(completion, self._config.breaker)
        if self._config.instance_breakers:
            self._add(member.guards[0], held.slot, blame.instance)
        behind = member.guards[1:]
        named = behind
        if completion.usage is not None and completion.usage.provider:
            named = provider_breakers(completion.usage.provider, completion.usage.model)
        if self._config.provider_breakers:
            for name in named:
                self._add(name, held.slot, blame.provider)
            for name in set(behind) - set(named):
                self._add(name, held.slot, CallOutcome.NONE)

    def unused(self, instance_id: str, slot: str) -> None:
        """A slot goes back that no task was found for: if it was a permit, others may have it."""
        member = self._fleet.members.get(instance_id)
        if member is not None and self._view.unwell:
            for name in member.guards:
                self._add(name, slot, CallOutcome.NONE)

    def unreachable(self, flights: Iterable[Flight]) -> None:
        """These cannot be sent: there is no connection to their instances."""
        if not self._config.instance_breakers or (
            ErrorKind.CONNECTION not in self._config.breaker.kinds
        ):
            return
        now = self._ports.clock.monotonic()
        for flight in flights:
            name = INSTANCE_BREAKER + flight.held.instance_id
            if self._view.of(name).state is BreakerState.HALF_OPEN:
                self._add(name, flight.held.slot, CallOutcome.FAILED)
            elif now - self._unreachable_at.get(name, float("-inf")) >= UNREACHABLE_EVERY_S:
                self._unreachable_at[name] = now
                self._add(name, flight.held.slot, CallOutcome.FAILED)

    def half_opened(self, instance_id: str) -> None:
        """Our own reservation made the breaker half-open: tell everybody."""
        self._moves.append(self._view.of(INSTANCE_BREAKER + instance_id))
        self._filled.set()

    def _add(self, name: str, slot: str, letter: CallOutcome) -> None:
        closed = self._view.of(name).state is BreakerState.CLOSED
        if letter is CallOutcome.NONE and closed:
            return
        batch = self._batches.get(name)
        if batch is None:
            batch = self._batches[name] = _Batch(self._ports.clock.monotonic())
        if closed:
            batch.letters += letter
        else:
            batch.probes[slot] = letter
        batch.urgent = batch.urgent or not closed or letter is not CallOutcome.OK
        self._filled.set()

    # -- permits of providers ----------------------------------------------------------------

    async def admit(self, wanted: Mapping[str, int], first: Mapping[str, int]) -> dict[str, int]:
        """How many of the slots wanted on each instance, numbered from `first`, may be probes of
        the half-open providers behind them. One round trip per such provider, else none."""
        allowed = dict(wanted)
        half_open = [
            name
            for name, snapshot in self._view.unwell.items()
            if snapshot.state is BreakerState.HALF_OPEN and not name.startswith(INSTANCE_BREAKER)
        ]
        for name in half_open:
            slots = [
                (instance_id, f"{self._dispatcher}/{first[instance_id] + i}")
                for instance_id, count in allowed.items()
                if name in self._guards(instance_id)
                for i in range(count)
            ]
            if not slots:
                continue
            try:
                reply = await self._ports.store.run(
                    self._view.commands.acquire(name, permits=[slot for _, slot in slots])
                )
            except StoreError:
                reply = None
            if reply is not None:
                self._heard(reply)
            for instance_id, slot in slots[reply.granted if reply else 0 :]:
                allowed[instance_id] -= 1
                # What another provider's breaker granted for it goes back.
                self.unused(instance_id, slot)
        return {instance_id: count for instance_id, count in allowed.items() if count}

    def _guards(self, instance_id: str) -> tuple[str, ...]:
        member: SeenInstance | None = self._fleet.members.get(instance_id)
        return member.guards if member else ()

    # -- what is told ------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            await self._ports.clock.sleep(WRITE_EVERY_S)
            self._filled.clear()
            await self._write()
            if self._batches:
                self._filled.set()

    async def _write(self) -> None:
        now = self._ports.clock.monotonic()
        # They count from when they are written: no later than a bucket of the window.
        quiet_s = min(QUIET_EVERY_S, self._config.breaker.window_s / 10)
        due = {
            name: batch
            for name, batch in self._batches.items()
            if batch.urgent or now - batch.since >= quiet_s or len(batch.letters) > MOST_QUIET
        }
        for name in due:
            del self._batches[name]
        try:
            if any(batch.urgent for batch in due.values()):
                await self._count_dispatchers(now)
            for reply in await self._ports.store.pipeline(self._reports(due)):
                if isinstance(reply, BreakerReply):
                    self._heard(reply)
            moves, self._moves = self._moves, []
            await self._ports.store.pipeline([self._telling(move) for move in moves])
        except StoreError:
            return

    def _reports(self, due: Mapping[str, _Batch]) -> list[Command[Any]]:
        commands: list[Command[Any]] = [
            self._view.commands.report(
                name,
                config=self._config.breaker,
                reporter=self._dispatcher,
                outcomes=batch.letters,
                probes=batch.probes,
                live=self._live,
            )
            for name, batch in due.items()
        ]
        others = [name for name in due if not name.startswith(INSTANCE_BREAKER)]
        return [*commands, *([self._view.commands.enlist(*others)] if others else [])]

    async def _count_dispatchers(self, now: float) -> None:
        """How many could see an instance fail: a quorum is never more than there are."""
        if now - self._counted_at < COUNT_EVERY_S:
            return
        leases = await self._ports.store.run(self._ports.cells[0].lookup.dispatchers())
        self._live, self._counted_at = max(1, len(leases)), now

    def _heard(self, reply: BreakerReply) -> None:
        self._view.learn(reply.snapshot)
        if reply.moved:
            self._moves.append(reply.snapshot)

    def _telling(self, move: BreakerSnapshot) -> Command[Any]:
        at_s = self._ports.clock.wall_ms() / 1000
        self._ports.bus.emit(BreakerMoved(move.name, move.state.value, move.words, at_s))
        return self._ports.registry.tell(
            instance_id=move.name.removeprefix(INSTANCE_BREAKER), event=_EVENTS[move.state]
        )
