"""InstanceHost: one instance. It asks its `AttemptTable` what to do and its executor to do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from godel_tasks.clock import Clock
from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.instance import InstanceConfig, Work, WorkProbe
from godel_tasks.instances.attempts import AttemptTable, Running
from godel_tasks.instances.server.executors import Executor
from godel_tasks.instances.server.outcome import stopped
from godel_tasks.instances.server.sessions import SessionBook

#: How long something that can be interrupted may take to stop before its end is told without it.
STOP_GRACE_S = 1.0


class Peer(Protocol):
    """A way back to whoever delivers."""

    def send(self, completion: Completion) -> None:
        """Queue a completion; never blocks, never raises."""
        ...


class ExecutionLog(Protocol):
    """Who is told that a handler starts and ends. Called on the event loop; must not block."""

    def started(self, delivery: Delivery) -> None: ...

    def ended(self, completion: Completion) -> None: ...


class InstanceHost:
    """Serves one instance until it is closed.

    An attempt that runs out of its time is stopped. What cannot be stopped at once (a thread) is
    reported TIMED_OUT all the same, so that nobody waits for ever, and keeps its slot until its
    function returns.
    """

    def __init__(
        self,
        config: InstanceConfig,
        executor: Executor,
        clock: Clock,
        *,
        generation: int = 0,
        log: ExecutionLog | None = None,
    ) -> None:
        self.config = config
        self.table: AttemptTable[Peer] = AttemptTable(
            config.instance_id, generation=generation, capacity=config.capacity
        )
        self.sessions = SessionBook(config.instance_id, clock)
        self.completed = 0
        self.failed = 0
        self._executor = executor
        self._clock = clock
        self._log = log
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._closed = False
        #: A no-op that was started and has not run yet.
        self._proof: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<InstanceHost {self.table!r}>"

    def deliver(self, delivery: Delivery, peer: Peer) -> None:
        """Run it, adopt it or refuse it."""
        decision = self.table.offer(delivery, peer)
        if isinstance(decision, Completion):
            peer.send(decision)
        elif decision is not None:
            self._start(decision)

    def cancel(self, key: str, peer: Peer) -> None:
        """Stop it, and tell the peer when it has stopped."""
        decision = self.table.cancel(key, peer)
        if isinstance(decision, Completion):
            peer.send(decision)
        elif decision.stopping is None:
            decision.stopping = End.CANCELLED
            self._executor.interrupt(decision)

    @property
    def stuck(self) -> int:
        """Slots that are held by attempts which were asked to stop, and go on."""
        return sum(run.stopping is not None for run in self.table.running.values())

    async def prove_work(self, limit_s: float) -> WorkProbe:
        """Run a no-op where attempts run, if there is room for one."""
        table = self.table
        used = len(table.running)
        if used >= table.capacity:
            if self.stuck < used:
                return WorkProbe(Work.BUSY)
            detail = f"all {used} slots are held by attempts that were stopped, and go on"
            return WorkProbe(Work.FAILED, detail)
        if self._proof is None:
            self._proof = asyncio.get_running_loop().create_future()
            self._executor.prove(self._proof)
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._proof)
        except TimeoutError:
            return WorkProbe(Work.FAILED, f"a no-op did not run within {limit_s:g} s")
        self._proof = None
        return WorkProbe(Work.DONE)

    def acknowledge(self, keys: Iterable[str]) -> None:
        self.table.acknowledge(keys)

    def detach(self, peer: Peer) -> None:
        self.table.detach(peer)

    def close(self, end: End = End.LOST) -> None:
        """Tell whoever waits that what runs is LOST, and stop what can be stopped. Idempotent."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for run in list(self.table.running.values()):
            self._tell(run, stopped(run.delivery, end, 0.0))
            run.stopping = run.stopping or end
            self._executor.interrupt(run)

    def _start(self, run: Running[Peer]) -> None:
        delivery = run.delivery
        if self._log is not None:
            self._log.started(delivery)
        if delivery.timeout_ms > 0 and not self._executor.immediate:
            self._timers[run.key] = asyncio.get_running_loop().call_later(
                delivery.timeout_ms / 1000, self._out_of_time, run
            )
        self._executor.start(run, self._finish)

    def _finish(self, run: Running[Any], completion: Completion) -> None:
        if self._timers:
            timer = self._timers.pop(run.key, None)
            if timer is not None:
                timer.cancel()
        if self._closed:
            return
        if self._log is not None:
            self._log.ended(completion)
        for peer in self.table.end(run, completion, self._clock.monotonic()):
            peer.send(completion)
        if run.reported is None:
            self._count(completion)

    def _out_of_time(self, run: Running[Peer]) -> None:
        run.stopping = run.stopping or End.TIMED_OUT
        if self._executor.interrupt(run):
            self._timers[run.key] = asyncio.get_running_loop().call_later(
                STOP_GRACE_S, self._tell_timed_out, run
            )
        else:
            self._tell_timed_out(run)

    def _tell_timed_out(self, run: Running[Peer]) -> None:
        self._timers.pop(run.key, None)
        completion = stopped(run.delivery, End.TIMED_OUT, float(run.delivery.timeout_ms))
        self._tell(run, completion)
        self._count(completion)

    def _tell(self, run: Running[Peer], completion: Completion) -> None:
        if run.reported is None:
            for peer in self.table.report(run, completion):
                peer.send(completion)

    def _count(self, completion: Completion) -> None:
        if completion.end is End.OK:
            self.completed += 1
        elif completion.end is not End.CANCELLED:
            self.failed += 1
