"""Instances that answer as they are told, and a house of them with a dispatcher: for stories about
what a dispatcher makes of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.dispatcher import Dispatcher
from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.instance import Connection, ConnectionListener, Driver, Instance

#: How a delivery ends, or None: it goes on.
Plan = Callable[[Delivery], Completion | None]


def ends(delivery: Delivery, end: End = End.OK, **fields) -> Completion:
    """That delivery's end; JSON null for OK."""
    if end is End.OK:
        fields.setdefault("result", b"null")
    return Completion(delivery.task_id, delivery.attempt, delivery.instance_id, end, **fields)


class PlayedConnection(Connection):
    """Answers at once by the driver's plan for the instance."""

    def __init__(self, driver: PlayedDriver, endpoint: str, listener: ConnectionListener) -> None:
        self._driver = driver
        self._endpoint = endpoint
        self._listener = listener

    @property
    def endpoint(self) -> str:
        return self._endpoint

    @property
    def connected(self) -> bool:
        return self._endpoint not in self._driver.cut_off

    @property
    def problem(self) -> str:
        return "" if self.connected else "nobody listens"

    @property
    def boot_id(self) -> str:
        return "b1"

    async def start(self) -> None:
        self._driver.connections.append(self)
        if self.connected:
            self._listener.on_connected(self._endpoint)

    def heal(self) -> None:
        """There is a way again."""
        self._driver.cut_off.discard(self._endpoint)
        self._listener.on_connected(self._endpoint)

    async def stop(self) -> None:
        return None

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        if not self.connected:
            raise InstanceUnavailable("nobody listens")
        loop = asyncio.get_running_loop()
        for delivery in deliveries:
            if delivery.key in self._driver.keys:
                continue
            self._driver.keys.add(delivery.key)
            self._driver.delivered.append(delivery.instance_id)
            completion = self._driver.plans[delivery.instance_id](delivery)
            if completion is not None:
                loop.call_later(0.005, self._listener.on_completions, [completion])

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        return None

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        return None

    async def inventory(self, instance_id: str) -> frozenset[str]:
        return frozenset()


class PlayedDriver(Driver):
    """`plans` by instance; `cut_off` holds endpoints that cannot be reached."""

    name = "played"

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.cut_off: set[str] = set()
        self.connections: list[PlayedConnection] = []
        #: Attempts that came: a repeat is no other one.
        self.keys: set[str] = set()
        #: Instances in the order in which attempts came to them.
        self.delivered: list[str] = []

    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        return PlayedConnection(self, config.endpoint, listener)

    def instance(self, config: InstanceConfig) -> Instance:
        raise NotImplementedError


class _Asleep:
    """Is never woken: whoever submits pulses the feeders."""

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        await asyncio.sleep(timeout_s)
        return None


class House:
    """A tenant, instances, and dispatchers."""

    def __init__(self, ports: Ports, **config) -> None:
        self.driver = PlayedDriver()
        self.ports = replace(
            ports, driver_named=lambda _name: self.driver, waker=_Asleep(), cells=ports.cells[:1]
        )
        self.config = DispatchConfig(**config)
        self.dispatchers: list[Dispatcher] = []
        self._running: list[asyncio.Task[object]] = []
        self._tasks = 0

    async def instance(self, name: str, plan: Plan = ends, capacity: int = 4, **labels) -> None:
        self.driver.plans[name] = plan
        config = InstanceConfig(
            name, f"played://{name}", driver="played", capacity=capacity, capabilities=labels
        )
        run, registry = self.ports.store.run, self.ports.registry
        generation = await run(registry.register(config))
        await run(registry.enlist(config, generation=generation, lease_ms=600_000))
        await run(registry.keep(instance_id=name))

    def dispatcher(self, name: str = "d1") -> Dispatcher:
        dispatcher = Dispatcher(self.ports, self.config, name)
        self.dispatchers.append(dispatcher)
        self._running.append(asyncio.ensure_future(dispatcher.run()))
        return dispatcher

    async def submit(self, count: int) -> list[str]:
        cell = self.ports.cells[0]
        await self.ports.store.run(cell.tenants.put(TenantConfig("acme", max_queue=10_000)))
        names = [f"t{self._tasks + i}" for i in range(count)]
        self._tasks += count
        tasks = [NewTask(n, 2, "0", "", encode_body(TaskBody(b"{}"))) for n in names]
        submit = cell.queue.submit(tenant_id="acme", tasks=tasks, check_settled=False)
        await self.ports.store.run(submit)
        for dispatcher in self.dispatchers:
            dispatcher.feeder.pulse.set()
        return names

    async def unsettled(self) -> int:
        status = await self.ports.store.run(self.ports.cells[0].tenants.status("acme"))
        assert status is not None
        return status.depth + status.in_flight

    async def close(self) -> None:
        for dispatcher in self.dispatchers:
            dispatcher.stop(patience_s=0)
        await asyncio.gather(*self._running)
