"""Dispatcher: the loop inside a Celery worker that claims, routes and delivers.

Pure asyncio over `Ports`: no thread, no socket of its own, so that a simulation can run it. One
object lives from its first lease to its end; a dispatcher that was reaped (a process stopped for
too long) ends as STALE, and a new one with a new name is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from functools import partial
from typing import Any

from godel_tasks.dispatch.attendant import Attendant
from godel_tasks.dispatch.breaking import Breaking
from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.dispatch.control import FlightControl
from godel_tasks.dispatch.feeder import CellView, Feeder
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flights
from godel_tasks.dispatch.housekeeping import Housekeeping
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.publisher import Publisher
from godel_tasks.dispatch.reaper import Reaper
from godel_tasks.dispatch.sessions import SessionMover
from godel_tasks.dispatch.settler import Settler
from godel_tasks.dispatch.slotbank import SlotBank
from godel_tasks.dispatch.view import DispatchView, view_of
from godel_tasks.errors import StaleWriter, StoreUnavailable
from godel_tasks.instances.background import end_task
from godel_tasks.store.leases import RenewReply
from godel_tasks.store.version import server_version

#: While more attempts than this are in flight, ends are collected for a moment.
BUSY_FLIGHTS = 32
#: Renewals in a row that must disagree about what is held before the two are compared.
DISAGREEMENTS = 3
#: Seconds after which what has not ended is cancelled again.
CANCEL_AGAIN_S = 0.2
#: Seconds that each last step may take when the time to drain is up.
GOODBYE_S = 1.0


class Ending(StrEnum):
    """Why a dispatcher ended."""

    DRAINED = "drained"
    STALE = "stale"


class Dispatcher:
    """`name` must be new for every object: it owns leases, slots and held tasks in Redis."""

    def __init__(self, ports: Ports, config: DispatchConfig, name: str) -> None:
        self._ports = ports
        self._config = config
        self.name = name
        self.flights = Flights()
        self.fleet = FleetView(ports, config, self._on_instance_lost)
        self._lease = LeaseKeeper(ports, config, name, self._on_renewed)
        self._breaking = Breaking(ports, config, name, self.fleet)
        self._bank = SlotBank(ports, self.fleet, name, self._breaking)
        self._control = FlightControl(
            ports, config, self.flights, self.fleet, self._lease, self._bank, self._breaking,
            self._spawn, self._on_free,
        )  # fmt: skip
        self._publisher = Publisher(ports, name)
        self._settler = Settler(
            ports, name, self._publisher, self._control.on_settled,
            lambda: len(self.flights) > BUSY_FLIGHTS,
        )  # fmt: skip
        self._control.bind(self._settler)
        self.fleet.breakers.on_open = self._on_breaker_open
        self._reaper = Reaper(ports, name, self.fleet, self._publisher, self._control.sender.adopt)
        self.feeder = Feeder(
            ports, config, name, self.flights, self.fleet, self._lease, self._bank, self._control
        )
        self._housekeeping = Housekeeping(
            ports, config, name, self.flights, self.fleet, self._lease, self._control,
            self.feeder, self._publisher,
        )  # fmt: skip
        self._attendant = Attendant(
            ports, config, name, self.fleet, self._lease, self._control.links
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None
        self._stop = asyncio.Event()
        self._disagreements: dict[int, int] = {}
        self._patience_s = config.drain_timeout_s

    def __repr__(self) -> str:
        at = "draining" if self.feeder.draining else "at work"
        return f"<Dispatcher {self.name} {at}, {len(self.flights)} in flight>"

    def stop(self, *, patience_s: float | None = None) -> None:
        """Drain: claim nothing new, finish what runs, hand back what was not sent. What has not
        ended after `patience_s` (the configured time, if it is None) is left, to be adopted by the
        next dispatcher."""
        self._patience_s = self._config.drain_timeout_s if patience_s is None else patience_s
        self._stop.set()
        self.feeder.draining = True
        self.feeder.pulse.set()

    def pause(self) -> None:
        """Claim nothing until `resume`; what is held goes on, and dead dispatchers are reaped."""
        self.feeder.paused = True
        self.feeder.pulse.set()

    def resume(self) -> None:
        self.feeder.paused = False
        self.feeder.pulse.set()

    def view(self) -> DispatchView:
        """What it does right now."""
        return view_of(
            self.name, self.flights, self.fleet, self.feeder, self._control.links,
            self._ports.clock,
        )  # fmt: skip

    async def run(self) -> Ending:
        """Work until stopped or reaped.

        Raises:
            Exception: a bug; what is held is taken over by others once the lease is over.
        """
        failure = self._failure = asyncio.get_running_loop().create_future()
        stop = asyncio.ensure_future(self._stop.wait())
        ends: set[asyncio.Future[Any]] = {stop, failure}
        try:
            prepared = asyncio.ensure_future(self._prepare())
            await asyncio.wait({stop, prepared}, return_when=asyncio.FIRST_COMPLETED)
            if not prepared.done():
                # Told to stop before Redis ever answered.
                await end_task(prepared)
                await self._within(self._leave(), GOODBYE_S)
                return Ending.DRAINED
            prepared.result()
            self._begin()
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not failure.done():
                await self._drain(failure)
            if failure.done():
                failure.result()
            return Ending.DRAINED
        except StaleWriter:
            return Ending.STALE
        finally:
            stop.cancel()
            if failure.done():
                failure.exception()
            await self._end()

    async def _prepare(self) -> None:
        """Waits until Redis answers.

        Raises:
            StoreVersionError: the server is too old.
        """
        await insist(self._ports, server_version)
        await self._lease.take()
        while not await self.fleet.look():
            await self._ports.clock.sleep(0.2)

    def _begin(self) -> None:
        self._spawn(self._lease.run())
        self._spawn(self.fleet.run())
        self._spawn(self.feeder.run())
        self._spawn(self._publisher.run())
        self._spawn(self._publisher.followups.run())
        self._spawn(self._housekeeping.watch_flights())
        self._spawn(self._housekeeping.watch_slowly())
        self._spawn(self._attendant.run())
        self._spawn(SessionMover(self._ports, self.fleet, self.feeder.cells, self._on_free).run())
        self._spawn(self._control.progress.run())
        self._spawn(self._control.signals.run())
        self._spawn(self._breaking.run())
        self._spawn(self.feeder.decisions.run())
        for view in self.feeder.cells:
            self._spawn(self._settler.run(view.store))
            self._spawn(self._housekeeping.watch_due(view))
            self._spawn(self._listen(view))

    async def _listen(self, view: CellView) -> None:
        """Be woken by whoever adds work."""
        while True:
            if self.feeder.paused:
                # A token that it took would be lost to those who can use it.
                await self._ports.clock.sleep(0.2)
                continue
            try:
                token = await self._ports.waker.wait(view.store.leases.wake_key, 1.0)
                if token is not None:
                    view.told(token)
                    self.feeder.pulse.set()
            except StoreUnavailable:
                await self._ports.clock.sleep(0.2)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    # -- what others tell --------------------------------------------------------------------

    def _on_free(self) -> None:
        self.feeder.pulse.set()

    def _on_breaker_open(self, instance_id: str) -> None:
        self._control.hand_back_unsent("its instance's breaker is open", instance_id)

    def _on_instance_lost(self, instance_id: str, reason: str) -> None:
        self._control.on_instance_lost(instance_id, reason)
        self.feeder.pulse.set()

    def _on_renewed(self, cell: CellStore, reply: RenewReply) -> None:
        for task_id, who in (reply.cancels or {}).items():
            self._control.cancel(task_id, who)
        for dead in reply.dead:
            if dead != self.name:
                self._spawn(self._reaper.reap(cell, dead))
        if reply.shared_outbox:
            self._spawn(self._publisher.take_over(cell))
        self._compare(cell, reply.held)

    def _compare(self, cell: CellStore, held: int) -> None:
        """A lost reply can leave us holding what we do not know of."""
        if held == len(self.flights.of_cell(cell.cell)):
            self._disagreements[cell.cell] = 0
            return
        self._disagreements[cell.cell] = self._disagreements.get(cell.cell, 0) + 1
        if self._disagreements[cell.cell] >= DISAGREEMENTS:
            self._disagreements[cell.cell] = 0
            self._spawn(self._repair(cell))

    async def _repair(self, cell: CellStore) -> None:
        """Adopt what Redis says we hold, and drop what it says we do not. Only flights that were
        there before and after the look count: the rest is just moving."""
        before = {f.task_id: f for f in self.flights.of_cell(cell.cell) if not f.settling}
        in_claim = {view.store.cell: view.batch for view in self.feeder.cells}[cell.cell]
        held = await insist(self._ports, lambda: cell.leases.held(dispatcher=self.name))
        known = {task.record.task_id for task in held}
        unknown = [
            task
            for task in held
            # What was taken over has batch 0; what the claim of now takes is just moving.
            if self.flights.get(task.record.task_id) is None
            and (task.batch == 0 or task.batch < in_claim)
        ]
        if unknown:
            await self._ports.clock.sleep(self._config.renew_every_ms / 1000)
            again = await insist(self._ports, lambda: cell.leases.held(dispatcher=self.name))
            still = {(task.record.task_id, task.epoch) for task in again}
            self._control.sender.adopt(
                cell.cell,
                [t for t in unknown if (t.record.task_id, t.epoch) in still
                 and self.flights.get(t.record.task_id) is None],
            )  # fmt: skip
        for task_id, flight in before.items():
            if task_id not in known and not flight.settling:
                self.flights.drop(flight)

    # -- the end -----------------------------------------------------------------------------

    async def _drain(self, failure: asyncio.Future[None]) -> None:
        """Finish or hand back; what still runs when the time is up is left to be adopted."""
        self._control.hand_back_unsent("its dispatcher is draining")
        began = self._ports.clock.monotonic()

        def left_s() -> float:
            # Looked at anew each time: who is told again to stop has no patience any more.
            return began + self._patience_s - self._ports.clock.monotonic()

        while (len(self.flights) or self.feeder.ticking) and left_s() > 0:
            if failure.done():
                return
            await self._ports.clock.sleep(0.02)
        for step in (self._settler.drained, self._publisher.drained):
            await self._within(step(), max(GOODBYE_S, left_s()))
        # Nothing may renew the lease once it is given up.
        await self._end()
        # Redis may be away: then others take over what is left once it is back.
        await self._within(self._leave(), max(GOODBYE_S, left_s()))

    async def _leave(self) -> None:
        if self._bank.has_returns:
            await self._bank.exchange({})
        for cell in self._ports.cells:
            await insist(self._ports, partial(cell.leases.leave, dispatcher=self.name))

    async def _within(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        task = asyncio.ensure_future(work)
        pause = asyncio.ensure_future(self._ports.clock.sleep(seconds))
        await asyncio.wait({task, pause}, return_when=asyncio.FIRST_COMPLETED)
        pause.cancel()
        if task.done():
            task.result()
        task.cancel()

    async def _end(self) -> None:
        # Again and again: a client that times out just then swallows a cancel.
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=CANCEL_AGAIN_S)
        await self._control.links.close()
