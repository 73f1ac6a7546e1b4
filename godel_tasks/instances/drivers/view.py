"""ConnectionInstance: the `Instance` view on top of any driver's `Connection`."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from godel_tasks.domain.attempt import Completion, Delivery, End, Progress
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.instance import Connection, ConnectionListener, Instance, TaskHandle
from godel_tasks.instances.providers import provider_named

#: How long a view waits for its connection.
CONNECT_TIMEOUT_S = 5.0
#: How long a connection may be broken before what it had under way is LOST.
LOST_AFTER_S = 10.0


class Handle:
    """One attempt that the view submitted."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.end: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()

    @property
    def key(self) -> str:
        return self.delivery.key

    async def result(self) -> Completion:
        return await asyncio.shield(self.end)

    def __repr__(self) -> str:
        state = self.end.result().end.value if self.end.done() else "running"
        return f"<Handle {self.key} {state}>"


class ConnectionInstance(Instance):
    """Submits over a connection of its own. A driver adds what is not about attempts.

    After a reconnect what is under way is delivered again and so adopted, unless the instance
    started anew meanwhile: it has forgotten, and the attempt is LOST.
    """

    def __init__(
        self, config: InstanceConfig, connect: Callable[[ConnectionListener], Connection]
    ) -> None:
        self.config = config
        self._connect = connect
        self._connection: Connection | None = None
        self._handles: dict[str, Handle] = {}
        self._boot_id = ""
        self._stands = asyncio.Event()
        self._giving_up: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.instance_id} {self._connection or 'not connected'}>"

    @property
    def instance_id(self) -> str:
        return self.config.instance_id

    @property
    def endpoint(self) -> str:
        return self.config.endpoint

    @property
    def workspace_dir(self) -> str:
        return self.config.workspace_dir

    async def start(self) -> None:
        await provider_named(self.config.provider).start(self.config)

    async def stop(self) -> None:
        await provider_named(self.config.provider).stop(self.config)

    async def restart(self) -> None:
        await provider_named(self.config.provider).restart(self.config)

    async def submit_task(self, delivery: Delivery) -> TaskHandle:
        connection = await self._connected()
        handle = self._handles.get(delivery.key)
        if handle is None:
            connection.deliver([delivery])
            handle = self._handles[delivery.key] = Handle(delivery)
        return handle

    async def cancel_task(self, task_id: str) -> None:
        connection = await self._connected()
        prefix = f"{task_id}:"
        keys = {key for key in self._handles if key.startswith(prefix)}
        keys |= {key for key in await self.running_keys() if key.startswith(prefix)}
        if keys:
            connection.cancel(self.instance_id, sorted(keys))

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if self._giving_up is not None:
            self._giving_up.cancel()
        if connection is not None:
            await connection.stop()
        self._lose("the view was closed")

    @abstractmethod
    async def running_keys(self) -> frozenset[str]:
        """Keys of the attempts that the instance runs. Raises: InstanceUnavailable."""

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._connect(self)
            await self._connection.start()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._stands.wait()
        except TimeoutError:
            problem = self._connection.problem
            why = f": {problem}" if problem else ""
            raise InstanceUnavailable(
                f"instance {self.instance_id!r} at {self.endpoint} cannot be reached{why}",
                hint="is it running? `godel instances show` tells when it was last heard of",
            ) from None
        return self._connection

    # ConnectionListener

    def on_completions(self, completions: Sequence[Completion]) -> None:
        keys = []
        for completion in completions:
            handle = self._handles.pop(completion.key, None)
            if handle is None:
                continue  # it was asked for by somebody else, or answered already
            handle.end.set_result(completion)
            keys.append(completion.key)
        if keys and self._connection is not None:
            self._connection.acknowledge(self.instance_id, keys)

    def on_progress(self, progress: Progress) -> None:
        """A handle tells its end only."""

    def on_connected(self, endpoint: str) -> None:  # noqa: ARG002 - the contract
        connection = self._connection
        if connection is None:
            return
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._boot_id not in ("", connection.boot_id):
            self._lose("the instance started anew")
        self._boot_id = connection.boot_id
        self._stands.set()
        if self._handles:
            connection.deliver(
                [replace(handle.delivery, may_have_run=True) for handle in self._handles.values()]
            )

    def on_disconnected(self, endpoint: str, error: str) -> None:
        self._stands.clear()
        if self._giving_up is not None:
            self._giving_up.cancel()
        self._giving_up = asyncio.get_running_loop().call_later(
            LOST_AFTER_S, self._lose, f"the connection to {endpoint} broke: {error}"
        )

    def _lose(self, why: str) -> None:
        handles, self._handles = self._handles, {}
        for handle in handles.values():
            delivery = handle.delivery
            if not handle.end.done():
                handle.end.set_result(
                    Completion(
                        delivery.task_id,
                        delivery.attempt,
                        delivery.instance_id,
                        End.LOST,
                        error_type="Lost",
                        error_message=why,
                    )
                )
