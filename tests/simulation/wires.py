"""The simulated driver between a process that can die and instances that live on.

What the process sends leaves its context: an attempt does not die with who delivered it. What comes
back enters the process's context, in order: a stopped process hears nothing until it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from godel_tasks.domain.attempt import Completion, Delivery, Progress
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.instance import Connection, ConnectionListener, Driver, Instance
from tests.simulation.process import SimProcess


class _Inbox:
    """Carries calls into the process, one by one, in their order."""

    def __init__(self, process: SimProcess, listener: ConnectionListener) -> None:
        self._process = process
        self._listener = listener
        self._calls: deque[Callable[[], None]] = deque()

    def _put(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self._process.loop.call_soon(self._take, context=self._process.context)

    def _take(self) -> None:
        self._calls.popleft()()

    def on_completions(self, completions: Sequence[Completion]) -> None:
        batch = list(completions)
        self._put(lambda: self._listener.on_completions(batch))

    def on_connected(self, endpoint: str) -> None:
        self._put(lambda: self._listener.on_connected(endpoint))

    def on_progress(self, progress: Progress) -> None:
        self._put(lambda: self._listener.on_progress(progress))

    def on_disconnected(self, endpoint: str, error: str) -> None:
        self._put(lambda: self._listener.on_disconnected(endpoint, error))


class BridgedConnection(Connection):
    """A connection whose far end is not of the process."""

    def __init__(
        self,
        inner: Connection,
        process: SimProcess,
        world: contextvars.Context,
        rng: random.Random,
        freeze: float,
    ) -> None:
        self._inner = inner
        self._process = process
        self._world = world
        self._rng = rng
        self._freeze = freeze

    @property
    def endpoint(self) -> str:
        return self._inner.endpoint

    @property
    def connected(self) -> bool:
        return self._inner.connected

    @property
    def boot_id(self) -> str:
        return self._inner.boot_id

    async def start(self) -> None:
        await self._outside(self._inner.start)

    async def stop(self) -> None:
        await self._outside(self._inner.stop)

    async def _outside(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self._process.loop.create_task(act(), context=self._world)

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        if not self._inner.connected:
            raise InstanceUnavailable(f"{self.endpoint} is not connected: nothing was sent")
        batch = list(deliveries)
        if self._rng.random() < self._freeze and self._process.running:
            # Stopped between its decision to send and the sending.
            self._process.stall()
            loop = self._process.loop
            loop.call_later(
                self._rng.choice([1.0, 3.5, 6.0]), self._process.resume, context=self._world
            )
            loop.call_soon(self._deliver_late, batch, context=self._process.context)
            return
        self._world.run(self._inner.deliver, batch)

    def _deliver_late(self, batch: list[Delivery]) -> None:
        if self._inner.connected:
            self._world.copy().run(self._inner.deliver, batch)

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        self._world.run(self._inner.cancel, instance_id, list(keys))

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        self._world.run(self._inner.acknowledge, instance_id, list(keys))

    async def inventory(self, instance_id: str) -> frozenset[str]:
        loop = self._process.loop
        task = loop.create_task(self._inner.inventory(instance_id), context=self._world)
        found: frozenset[str] = await asyncio.shield(task)
        return found


class BridgedDriver(Driver):
    """The driver as one process has it; its sockets close when it dies."""

    name = "simulated"

    def __init__(
        self,
        inner: Driver,
        process: SimProcess,
        world: contextvars.Context,
        rng: random.Random,
        freeze: float = 0.0,
    ) -> None:
        self._inner = inner
        self._process = process
        self._world = world
        self._rng = rng
        self._freeze = freeze
        self._open: list[Connection] = []
        process.on_kill.append(self._close_all)

    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        connection = self._inner.open_connection(config, _Inbox(self._process, listener))
        self._open.append(connection)
        return BridgedConnection(connection, self._process, self._world, self._rng, self._freeze)

    def instance(self, config: InstanceConfig) -> Instance:
        return self._inner.instance(config)

    def _close_all(self) -> None:
        for connection in self._open:
            self._process.loop.create_task(connection.stop(), context=self._world)
