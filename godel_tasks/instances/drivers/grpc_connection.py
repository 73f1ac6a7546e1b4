"""GrpcConnection: one dispatcher's stream to one endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from random import Random
from typing import Any

import grpc.aio

from godel_tasks.domain.attempt import Delivery
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers import grpc_codec as codec
from godel_tasks.instances.drivers import grpc_wire as wire
from godel_tasks.instances.drivers._generated import instance_pb2 as pb
from godel_tasks.instances.drivers.backoff import Backoff
from godel_tasks.instances.drivers.standing import StandingConnection
from godel_tasks.instances.instance import ConnectionListener

log = logging.getLogger(__name__)

#: Longest wait for an endpoint's Hello.
HELLO_TIMEOUT_S = 3.0
#: Acknowledgements wait so long for deliveries to travel with.
ACK_DELAY_S = 0.005


class GrpcConnection(StandingConnection):
    """Writes batches from a buffer with one task, reads with another."""

    def __init__(
        self,
        endpoint: str,
        listener: ConnectionListener,
        random: Random | None = None,
    ) -> None:
        super().__init__(endpoint)
        self._listener = listener
        self._backoff = Backoff(random or Random())
        self._channel: grpc.aio.Channel | None = None
        self._connected = False
        self._boot_id = ""
        self._error = ""
        self._outgoing = _Outgoing()

    def __repr__(self) -> str:
        if self._connected:
            state = f"connected to boot {self._boot_id[:8]}"
        elif self._task is None:
            state = "stopped"
        else:
            state = f"connecting, try {self._backoff.tries}" + (
                f" ({self._error})" if self._error else ""
            )
        return f"<GrpcConnection {self._endpoint} {state}>"

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def boot_id(self) -> str:
        return self._boot_id

    @property
    def problem(self) -> str:
        return "" if self._connected else self._error

    async def _fall(self) -> None:
        self._connected = False

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        if not self._connected:
            raise InstanceUnavailable(f"{self._endpoint} is not connected: nothing was sent")
        self._outgoing.deliveries.extend(deliveries)
        self._outgoing.filled.set()

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        if self._connected:
            self._outgoing.cancels.setdefault(instance_id, []).extend(keys)
            self._outgoing.filled.set()

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        if self._connected:
            self._outgoing.acks.setdefault(instance_id, []).extend(keys)
            self._outgoing.fill_soon()

    async def inventory(self, instance_id: str) -> frozenset[str]:
        channel = self._channel
        if channel is None or not self._connected:
            raise InstanceUnavailable(f"{self._endpoint} is not connected")
        request = pb.InventoryRequest(instance_id=instance_id)
        answer = await wire.call(channel, wire.INVENTORY, request)
        return frozenset(answer.keys)

    async def _run(self) -> None:
        """Connect, serve the stream until it breaks, wait, again."""
        while True:
            error = await self._serve_once()
            self._error = error
            if self._connected:
                self._connected = False
                self._listener.on_disconnected(self._endpoint, error)
            await asyncio.sleep(self._backoff.next_s())

    async def _serve_once(self) -> str:
        """One stream, from its beginning to its end. Returns why it ended."""
        # A fresh channel each time: its own reconnecting would add a backoff to ours.
        async with grpc.aio.insecure_channel(self._endpoint, wire.CHANNEL_OPTIONS) as channel:
            self._channel = channel
            stream = wire.attach(channel)
            writer: asyncio.Task[None] | None = None
            try:
                async with asyncio.timeout(HELLO_TIMEOUT_S):
                    first = await stream.read()
                if first is grpc.aio.EOF:
                    return "the endpoint ended the stream"
                self._stands(first.hello)
                writer = asyncio.get_running_loop().create_task(self._write_forever(stream))
                while (response := await stream.read()) is not grpc.aio.EOF:
                    self._listener.on_completions(codec.completions_of(response))
                return "the endpoint ended the stream"
            except TimeoutError:
                return f"no answer within {HELLO_TIMEOUT_S:.0f} s"
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name.lower()}: {error.details()}"
            except Exception as error:  # a listener's, or one of gRPC's many others
                log.exception("the connection to %s broke", self._endpoint)
                return f"{type(error).__name__}: {error}"
            finally:
                self._channel = None
                stream.cancel()
                if writer is not None:
                    await end_task(writer)  # whatever it met, the reader says why

    def _stands(self, hello: pb.Hello) -> None:
        self._boot_id = hello.boot_id
        self._backoff.reset()
        self._outgoing.clear()
        self._connected = True
        self._listener.on_connected(self._endpoint)

    async def _write_forever(self, stream: Any) -> None:
        """Write what the buffer holds; while one batch is on its way the next one gathers."""
        outgoing = self._outgoing
        while True:
            await outgoing.filled.wait()
            for request in outgoing.take():
                await stream.write(request)


class _Outgoing:
    """What waits to be written."""

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.clear()

    def clear(self) -> None:
        self.deliveries: list[Delivery] = []
        self.cancels: dict[str, list[str]] = {}
        self.acks: dict[str, list[str]] = {}
        self.filled.clear()
        self._stop_timer()

    def fill_soon(self) -> None:
        if self._timer is None and not self.filled.is_set():
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(ACK_DELAY_S, self.filled.set)

    def take(self) -> list[pb.AttachRequest]:
        requests = list(codec.requests_of(self.deliveries))
        # A cancel must not overtake the delivery that it is about.
        last = requests[-1]
        for instance_id, keys in self.cancels.items():
            last.cancels.add(instance_id=instance_id, keys=keys)
        for instance_id, keys in self.acks.items():
            last.acks.add(instance_id=instance_id, keys=keys)
        self.clear()
        return requests

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
