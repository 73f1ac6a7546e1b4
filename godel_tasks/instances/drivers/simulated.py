"""The `simulated` driver: instances in this process, for tests. No I/O, any event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from random import Random

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.attempt import Completion, Delivery
from godel_tasks.domain.instance import (
    Health,
    HealthStatus,
    InstanceConfig,
    InstanceMetrics,
    WorkProbe,
)
from godel_tasks.domain.session import Session, SessionConfig
from godel_tasks.errors import InstanceUnavailable, UnknownInstance
from godel_tasks.instances.drivers.backoff import Backoff
from godel_tasks.instances.drivers.simulated_endpoint import SimulatedEndpoint, Wire
from godel_tasks.instances.drivers.standing import StandingConnection
from godel_tasks.instances.drivers.view import ConnectionInstance
from godel_tasks.instances.instance import Connection, ConnectionListener, Driver, Instance
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.station import Station


class SimulatedNetwork:
    """Which endpoints there are."""

    def __init__(self, endpoints: Iterable[SimulatedEndpoint] = ()) -> None:
        self._endpoints = {endpoint.endpoint: endpoint for endpoint in endpoints}

    def add(self, endpoint: SimulatedEndpoint) -> None:
        self._endpoints[endpoint.endpoint] = endpoint

    def reach(self, name: str) -> SimulatedEndpoint:
        """Raises: InstanceUnavailable: there is none, or it is down or cut off."""
        endpoint = self._endpoints.get(name)
        if endpoint is None or not endpoint.up:
            raise InstanceUnavailable(f"{name} cannot be reached")
        return endpoint


class SimulatedConnection(StandingConnection):
    """A wire that is laid again whenever it breaks."""

    def __init__(
        self,
        network: SimulatedNetwork,
        endpoint: str,
        listener: ConnectionListener,
        clock: Clock,
        random: Random,
    ) -> None:
        super().__init__(endpoint)
        self._network = network
        self._listener = listener
        self._clock = clock
        self._backoff = Backoff(random)
        self._wire: Wire | None = None
        self._boot_id = ""
        self._broken = asyncio.Event()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<SimulatedConnection {self._endpoint} {state}>"

    @property
    def connected(self) -> bool:
        return self._wire is not None

    @property
    def boot_id(self) -> str:
        return self._boot_id

    async def _fall(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        wire, batch = self._wire, list(deliveries)
        if wire is None:
            raise InstanceUnavailable(f"{self._endpoint} is not connected: nothing was sent")
        wire.call(lambda station: station.deliver(batch, wire))

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        wire, batch = self._wire, list(keys)
        if wire is not None:
            wire.call(lambda station: station.cancel(instance_id, batch, wire))

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        wire, batch = self._wire, list(keys)
        if wire is not None:
            wire.call(lambda station: station.acknowledge(instance_id, batch))

    async def inventory(self, instance_id: str) -> frozenset[str]:
        if self._wire is None:
            raise InstanceUnavailable(f"{self._endpoint} is not connected")
        station = await round_trip(self._network, self._endpoint, self._clock)
        return frozenset(station.host(instance_id).table.running)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(InstanceUnavailable):
                await round_trip(self._network, self._endpoint, self._clock)
                self._lay()
                await self._broken.wait()
            await self._clock.sleep(self._backoff.next_s())

    def _lay(self) -> None:
        self._broken.clear()
        endpoint = self._network.reach(self._endpoint)
        self._wire = Wire(endpoint, self._on_completions, self._listener.on_progress, self._on_cut)
        self._boot_id = self._wire.station.boot_id
        self._backoff.reset()
        self._listener.on_connected(self._endpoint)

    def _on_completions(self, completions: list[Completion]) -> None:
        self._listener.on_completions(completions)

    def _on_cut(self, error: str) -> None:
        self._wire = None
        self._broken.set()
        self._listener.on_disconnected(self._endpoint, error)


class SimulatedInstance(ConnectionInstance):
    """One simulated instance."""

    def __init__(
        self, config: InstanceConfig, network: SimulatedNetwork, clock: Clock, random: Random
    ) -> None:
        super().__init__(
            config,
            lambda listener: SimulatedConnection(network, config.endpoint, listener, clock, random),
        )
        self._network = network
        self._clock = clock

    async def health_check(self) -> HealthStatus:
        began = self._clock.monotonic()
        try:
            station = await round_trip(self._network, self.endpoint, self._clock)
            health, error = station.health(self.instance_id)
        except (InstanceUnavailable, UnknownInstance) as unreachable:
            health, error = Health.UNHEALTHY, str(unreachable)
        latency_ms = (self._clock.monotonic() - began) * 1000
        return HealthStatus(health, latency_ms, error or None)

    async def work_probe(self, limit_s: float) -> WorkProbe | None:
        return await (await self._host()).prove_work(limit_s)

    async def get_metrics(self) -> InstanceMetrics:
        station = await round_trip(self._network, self.endpoint, self._clock)
        return station.metrics(self.instance_id)

    async def running_keys(self) -> frozenset[str]:
        return frozenset((await self._host()).table.running)

    async def create_session(self, config: SessionConfig) -> Session:
        return (await self._host()).sessions.create(config)

    async def get_session(self, session_id: str) -> Session | None:
        return (await self._host()).sessions.get(session_id)

    async def terminate_session(self, session_id: str) -> None:
        (await self._host()).sessions.terminate(session_id)

    async def _host(self) -> InstanceHost:
        station = await round_trip(self._network, self.endpoint, self._clock)
        return station.host(self.instance_id)


class SimulatedDriver(Driver):
    """Reaches the endpoints of one simulated network."""

    name = "simulated"

    def __init__(
        self,
        network: SimulatedNetwork | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        self.network = network or SimulatedNetwork()
        self._clock = clock or SystemClock()
        self._random = random or Random()

    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        return SimulatedConnection(
            self.network, config.endpoint, listener, self._clock, self._random
        )

    def instance(self, config: InstanceConfig) -> Instance:
        return SimulatedInstance(config, self.network, self._clock, self._random)


async def round_trip(network: SimulatedNetwork, name: str, clock: Clock) -> Station:
    """Go to an endpoint and back. Raises: InstanceUnavailable."""
    endpoint = network.reach(name)
    await clock.sleep(2 * endpoint.link.delay_s())
    return network.reach(name).running_station
