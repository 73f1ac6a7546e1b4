"""All the processes of one machine, kept running together."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from godel_tasks.embedded import Guard
from godel_tasks.supervisor.child import Child
from godel_tasks.supervisor.spec import ProcessSpec, RestartDelays, Sink, discard

#: Seconds between two questions whether a process is ready.
READY_POLL_S = 0.1


class Supervisor:
    """Starts processes in the order given, restarts those that end, stops them in reverse order.

    `start` and `stop` may be called in any order and any number of times. Every process leads a
    group of its own; nothing outlives `stop`, and thanks to the guard nothing outlives a supervisor
    that was killed.
    """

    def __init__(
        self,
        specs: Iterable[ProcessSpec],
        *,
        sink: Sink = discard,
        guard: Guard | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._guard = guard or Guard()
        self._own_guard = guard is None
        self._children = [
            Child(spec, guard=self._guard, sink=sink, delays=RestartDelays(rng=rng))
            for spec in specs
        ]

    def __repr__(self) -> str:
        return f"<Supervisor of {', '.join(map(repr, self._children))}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def children(self) -> list[Child]:
        """In the order in which they are started."""
        return list(self._children)

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run now."""
        return {c.spec.name: c.pid for c in self._children if c.pid is not None}

    def child(self, name: str) -> Child:
        """The child of that name; `KeyError` if there is none."""
        for child in self._children:
            if child.spec.name == name:
                return child
        raise KeyError(name)

    async def start(self) -> None:
        """Start all of them; raises `OSError` for a program that does not exist, and then none of
        them runs."""
        try:
            for child in self._children:
                await child.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop all of them, stage by stage, the last started first."""
        stages = itertools.groupby(reversed(self._children), key=lambda child: child.spec.stage)
        for _, stage in stages:
            await asyncio.gather(*(child.stop() for child in stage))
        if self._own_guard:
            self._guard.close()

    def hurry(self) -> None:
        """Cut a `stop` short: whoever still runs is killed."""
        for child in self._children:
            child.hurry()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process of that name, if it runs."""
        self.child(name).signal(number)

    async def wait_ready(self, timeout_s: float) -> list[str]:
        """Wait until all are ready; returns the names of those that are not after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        answers = await asyncio.gather(*(_ready(child, deadline) for child in self._children))
        return [
            child.spec.name
            for child, ready in zip(self._children, answers, strict=True)
            if not ready
        ]


async def _ready(child: Child, deadline: float) -> bool:
    check = child.spec.ready
    while time.monotonic() < deadline:
        if child.state == "running" and (check is None or await asyncio.to_thread(check)):
            return True
        await asyncio.sleep(READY_POLL_S)
    return False
