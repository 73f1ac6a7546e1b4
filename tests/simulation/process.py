"""Simulated processes: all tasks and callbacks that share one context."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.loop import GATE, VirtualLoop


class Dead(Exception):
    """A port of a process that is being cleared away after the round."""


class SimProcess:
    """`kill` is SIGKILL: nothing of it runs again, no cleanup either. `stall` is SIGSTOP: nothing
    of it runs, timers included, until `resume`; the world goes on."""

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.loop = loop
        self.name = name
        self.killed = False
        self.stalled = False
        #: After the round: callbacks run again, and every port raises.
        self.ghost = False
        self.on_kill: list[Callable[[], None]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self._parked: list[asyncio.Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(GATE.set, self)

    def __repr__(self) -> str:
        state = "killed" if self.killed else "stalled" if self.stalled else "runs"
        return f"<SimProcess {self.name} {state}>"

    @property
    def running(self) -> bool:
        return not self.killed and not self.stalled

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work, context=self.context)
        self.tasks.append(task)
        return task

    def holds(self, handle: asyncio.Handle) -> bool:
        if self.running or self.ghost:
            return False
        self._parked.append(handle)
        return True

    def kill(self) -> None:
        self.killed = True
        for act in self.on_kill:
            act()

    def stall(self) -> None:
        self.stalled = True

    def resume(self) -> None:
        self.stalled = False
        if not self.killed:
            self._unpark()

    def _unpark(self) -> None:
        parked, self._parked = self._parked, []
        for handle in parked:
            self.loop.push(handle)

    def clear_away(self) -> list[asyncio.Task[Any]]:
        """After the round: let every task of it end, without effects. Returns them."""
        self.ghost = True
        self._unpark()
        mine = self.loop.tasks_of(self)
        for task in mine:
            task.cancel()
        return mine


class SimClock:
    """The loop's time as a process's clock; its wall clock may be wrong by `skew_ms`."""

    def __init__(self, loop: VirtualLoop, start_ms: int, skew_ms: int = 0) -> None:
        self._loop = loop
        self._start_ms = start_ms + skew_ms

    def monotonic(self) -> float:
        return self._loop.time()

    def wall_ms(self) -> int:
        return self._start_ms + int(self._loop.time() * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
