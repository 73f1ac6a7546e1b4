"""An event loop in virtual time, whose callbacks can be held back by process.

Time jumps to the next timer when nothing is ready, and ready callbacks run in an order that the
seed chooses: asyncio promises none between tasks.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Gate(Protocol):
    """What a callback asks before it runs."""

    def holds(self, handle: asyncio.Handle) -> bool:
        """True when the callback must not run now; the gate keeps the handle then."""
        ...


#: The process that a callback belongs to; tasks and callbacks inherit it with their context.
GATE: contextvars.ContextVar[Gate | None] = contextvars.ContextVar("GATE", default=None)


class Stuck(Exception):
    """Nothing is ready and no timer is set: everything waits for ever."""


class _Jump(selectors.BaseSelector):
    """A selector without I/O: instead of waiting it lets the time pass."""

    def __init__(self) -> None:
        self._real = selectors.SelectSelector()
        self.now = 0.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing is ready, and no timer is set")
        self.now += max(timeout, 0.0)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def _held(handle: asyncio.Handle) -> bool:
    context: contextvars.Context = handle._context  # type: ignore[attr-defined]
    gate = context.get(GATE)
    return gate is not None and gate.holds(handle)


class _Handle(asyncio.Handle):
    def _run(self) -> None:
        if not _held(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    def _run(self) -> None:
        if not _held(self):
            super()._run()


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. `rng` orders what is ready at one moment."""

    def __init__(self, rng: random.Random) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._rng = rng
        self._gates: dict[asyncio.Task[Any], Gate | None] = {}
        #: Rounding must not make a timer miss its moment.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jump.now

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self.push(handle)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(coro, **options)
        context: contextvars.Context | None = options.get("context")
        self._gates[task] = context.get(GATE) if context is not None else GATE.get()
        return task

    def tasks_of(self, gate: Gate) -> list[asyncio.Task[Any]]:
        """Tasks of a process that are not over."""
        return [task for task, of in self._gates.items() if of is gate and not task.done()]

    def push(self, handle: asyncio.Handle) -> None:
        """Make a callback (again) ready."""
        self._ready.append(handle)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            order = list(ready)
            self._rng.shuffle(order)
            ready.clear()
            ready.extend(order)
        super()._run_once()  # type: ignore[misc]
