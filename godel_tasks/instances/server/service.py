"""The gRPC face of a `Station`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from godel_tasks.domain.session import SessionConfig
from godel_tasks.errors import UnknownInstance
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers import grpc_codec as codec
from godel_tasks.instances.drivers import grpc_wire as wire
from godel_tasks.instances.drivers._generated import instance_pb2 as pb
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.station import Station
from godel_tasks.instances.server.stream import StreamPeer

Context = grpc.aio.ServicerContext[Any, Any]


class InstanceService:
    """Serves one station to any number of dispatchers."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._peers: set[StreamPeer] = set()

    @property
    def flushed(self) -> bool:
        """No completion waits to be written to a stream that stands."""
        return all(peer.flushed for peer in self._peers)

    def add_to(self, server: grpc.aio.Server) -> None:
        unary: dict[wire.Method, Callable[..., Any]] = {
            wire.HEALTH: self._health,
            wire.METRICS: self._metrics,
            wire.INVENTORY: self._inventory,
            wire.CREATE_SESSION: self._create_session,
            wire.GET_SESSION: self._get_session,
            wire.TERMINATE_SESSION: self._terminate_session,
        }
        server.add_generic_rpc_handlers((wire.handlers(self._attach, unary),))

    async def _attach(self, _requests: Any, context: Context) -> None:
        """One dispatcher, until its stream ends. What runs goes on after that."""
        peer = StreamPeer(context)
        await context.write(pb.AttachResponse(hello=self._hello()))
        writer = asyncio.get_running_loop().create_task(peer.write_forever())
        self._peers.add(peer)
        try:
            while (request := await context.read()) is not grpc.aio.EOF:
                self._handle(request, peer)
        finally:
            self._peers.discard(peer)
            self._station.detach(peer)
            await end_task(writer)  # whatever it met, the stream is over

    def _handle(self, request: pb.AttachRequest, peer: StreamPeer) -> None:
        station = self._station
        station.deliver(codec.deliveries_of(request), peer)
        for cancel in request.cancels:
            station.cancel(cancel.instance_id, cancel.keys, peer)
        for ack in request.acks:
            station.acknowledge(ack.instance_id, ack.keys)

    def _hello(self) -> pb.Hello:
        hello = pb.Hello(boot_id=self._station.boot_id)
        for instance_id, host in self._station.hosts.items():
            table = host.table
            hello.instances.add(
                instance_id=instance_id, generation=table.generation, capacity=table.capacity
            )
        return hello

    async def _host(self, instance_id: str, context: Context) -> InstanceHost:
        try:
            return self._station.host(instance_id)
        except UnknownInstance as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            raise  # abort raised already; this is for the type checker

    async def _health(self, request: pb.HealthRequest, context: Context) -> pb.HealthResponse:
        host = await self._host(request.instance_id, context)
        work = None
        if request.work_limit_ms > 0:
            work = await host.prove_work(request.work_limit_ms / 1000)
        return codec.health_message(*self._station.health(request.instance_id), work)

    async def _metrics(self, request: pb.MetricsRequest, context: Context) -> pb.MetricsResponse:
        await self._host(request.instance_id, context)
        return codec.metrics_message(self._station.metrics(request.instance_id))

    async def _inventory(
        self, request: pb.InventoryRequest, context: Context
    ) -> pb.InventoryResponse:
        host = await self._host(request.instance_id, context)
        return pb.InventoryResponse(keys=list(host.table.running))

    async def _create_session(
        self, request: pb.CreateSessionRequest, context: Context
    ) -> pb.Session:
        host = await self._host(request.instance_id, context)
        config = SessionConfig(request.session_id, request.tenant_id, dict(request.labels))
        return codec.session_message(host.sessions.create(config))

    async def _get_session(
        self, request: pb.GetSessionRequest, context: Context
    ) -> pb.GetSessionResponse:
        host = await self._host(request.instance_id, context)
        session = host.sessions.get(request.session_id)
        if session is None:
            return pb.GetSessionResponse()
        return pb.GetSessionResponse(session=codec.session_message(session))

    async def _terminate_session(
        self, request: pb.TerminateSessionRequest, context: Context
    ) -> pb.TerminateSessionResponse:
        host = await self._host(request.instance_id, context)
        host.sessions.terminate(request.session_id)
        return pb.TerminateSessionResponse()
