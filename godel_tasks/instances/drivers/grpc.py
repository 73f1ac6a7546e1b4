"""The `grpc` driver: instances that answer `godel.federation.v1.InstanceService`."""

from __future__ import annotations

from random import Random
from typing import Any

import grpc.aio

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.instance import (
    Health,
    HealthStatus,
    InstanceConfig,
    InstanceMetrics,
    WorkProbe,
)
from godel_tasks.domain.session import Session, SessionConfig
from godel_tasks.errors import InstanceUnavailable, UnknownInstance
from godel_tasks.instances.drivers import grpc_codec as codec
from godel_tasks.instances.drivers import grpc_wire as wire
from godel_tasks.instances.drivers._generated import instance_pb2 as pb
from godel_tasks.instances.drivers.grpc_connection import GrpcConnection
from godel_tasks.instances.drivers.view import ConnectionInstance
from godel_tasks.instances.instance import Connection, ConnectionListener, Driver, Instance


class GrpcInstance(ConnectionInstance):
    """One instance behind a gRPC endpoint."""

    def __init__(self, config: InstanceConfig, clock: Clock) -> None:
        super().__init__(config, lambda listener: GrpcConnection(config.endpoint, listener))
        self._clock = clock
        self._channel: grpc.aio.Channel | None = None

    async def health_check(self) -> HealthStatus:
        began = self._clock.monotonic()
        try:
            answer = await self._call(wire.HEALTH, pb.HealthRequest(instance_id=self.instance_id))
        except (InstanceUnavailable, UnknownInstance) as error:
            return HealthStatus(Health.UNHEALTHY, self._ms_since(began), str(error))
        return HealthStatus(
            codec.health_of(answer),
            self._ms_since(began),
            answer.error or None,
            codec.components_of(answer.components),
        )

    async def work_probe(self, limit_s: float) -> WorkProbe | None:
        limit_ms = max(1, int(limit_s * 1000))
        request = pb.HealthRequest(instance_id=self.instance_id, work_limit_ms=limit_ms)
        return codec.work_of(await self._call(wire.HEALTH, request))

    async def get_metrics(self) -> InstanceMetrics:
        request = pb.MetricsRequest(instance_id=self.instance_id)
        return codec.metrics_of(await self._call(wire.METRICS, request))

    async def running_keys(self) -> frozenset[str]:
        request = pb.InventoryRequest(instance_id=self.instance_id)
        return frozenset((await self._call(wire.INVENTORY, request)).keys)

    async def create_session(self, config: SessionConfig) -> Session:
        request = pb.CreateSessionRequest(
            instance_id=self.instance_id,
            session_id=config.session_id,
            tenant_id=config.tenant_id,
            labels=config.labels,
        )
        return codec.session_of(await self._call(wire.CREATE_SESSION, request))

    async def get_session(self, session_id: str) -> Session | None:
        request = pb.GetSessionRequest(instance_id=self.instance_id, session_id=session_id)
        answer = await self._call(wire.GET_SESSION, request)
        return codec.session_of(answer.session) if answer.HasField("session") else None

    async def terminate_session(self, session_id: str) -> None:
        request = pb.TerminateSessionRequest(instance_id=self.instance_id, session_id=session_id)
        await self._call(wire.TERMINATE_SESSION, request)

    async def aclose(self) -> None:
        await super().aclose()
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _call(self, method: wire.Method, request: Any) -> Any:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self.endpoint, wire.CHANNEL_OPTIONS)
        return await wire.call(self._channel, method, request)

    def _ms_since(self, began: float) -> float:
        return (self._clock.monotonic() - began) * 1000


class GrpcDriver(Driver):
    """See the module. `random` spreads reconnects; tests give a seeded one."""

    name = "grpc"

    def __init__(self, clock: Clock | None = None, random: Random | None = None) -> None:
        self._clock = clock or SystemClock()
        self._random = random or Random()

    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        return GrpcConnection(config.endpoint, listener, self._random)

    def instance(self, config: InstanceConfig) -> Instance:
        return GrpcInstance(config, self._clock)
