"""A site is an endpoint with two instances and a driver that reaches it; one for each driver."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from godel_tasks.clock import SystemClock
from godel_tasks.domain.attempt import Completion, Delivery, Progress
from godel_tasks.domain.instance import HealthComponents, InstanceConfig
from godel_tasks.errors import StaleWriter
from godel_tasks.instances.drivers.grpc import GrpcDriver
from godel_tasks.instances.drivers.simulated import SimulatedDriver, SimulatedNetwork
from godel_tasks.instances.drivers.simulated_endpoint import SimulatedEndpoint
from godel_tasks.instances.handlers import Handler, TaskContext
from godel_tasks.instances.instance import Connection, Driver
from godel_tasks.instances.server.process import InstanceProcess, ProcessOptions
from godel_tasks.instances.server.registrar import Heartbeat
from godel_tasks.instances.server.station import Station
from tests.helpers import wait_until_async

CAPACITY = 2
GENERATION = 7
IDS = ("a-1", "a-2")


class Workload:
    """A handler that does what its payload says, and notes each time that it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.contexts: list[TaskContext] = []
        self._gates: dict[str, asyncio.Event] = {}

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def __call__(self, payload: Any, context: TaskContext) -> Any:
        self.calls.append(f"{context.task_id}:{context.attempt}")
        self.contexts.append(context)
        if not isinstance(payload, dict):
            return payload if not isinstance(payload, bytes) else payload.decode()
        if "wait" in payload:
            await self.gate(payload["wait"]).wait()
        if "raise" in payload:
            error = ValueError(payload["raise"])
            error.retryable = payload.get("retryable", True)  # type: ignore[attr-defined]
            raise error
        if "exit" in payload:
            raise SystemExit(payload["exit"])
        if "object" in payload:
            return object()
        return payload.get("return")


class FixedRegistrar:
    """A registry of one process, in memory; `lose` takes the registrations away."""

    def __init__(self, generation: int = GENERATION) -> None:
        self.generation = generation
        self.configs: list[InstanceConfig] = []
        self.beats: list[list[Heartbeat]] = []
        self.deregistered: dict[str, int] = {}
        self.stale = False
        self.registrations = 0

    async def register(self, configs: Sequence[InstanceConfig]) -> dict[str, int]:
        if self.registrations:
            self.generation += 1
        self.registrations += 1
        self.stale = False
        self.configs = list(configs)
        return {config.instance_id: self.generation for config in configs}

    async def heartbeat(self, beats: Sequence[Heartbeat]) -> None:
        if self.stale:
            raise StaleWriter("declared dead")
        self.beats.append(list(beats))

    async def deregister(self, generations: Mapping[str, int]) -> None:
        self.deregistered = dict(generations)


@dataclass
class Listener:
    """Notes what a connection tells."""

    completions: list[Completion] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    patience_s: float = 5.0

    def on_completions(self, completions: Sequence[Completion]) -> None:
        self.completions.extend(completions)

    def on_progress(self, progress: Progress) -> None:
        self.progress.append(progress)

    def on_connected(self, endpoint: str) -> None:
        self.events.append("connected")

    def on_disconnected(self, endpoint: str, error: str) -> None:
        self.events.append("disconnected")

    async def completion(self, key: str, *, nth: int = 1) -> Completion:
        """The n-th completion of a key, when it comes."""

        def found() -> list[Completion]:
            return [c for c in self.completions if c.key == key][nth - 1 : nth]

        found_ones = await wait_until_async(
            found, description=f"completion {nth} of {key}", timeout=self.patience_s
        )
        return found_ones[0]


class Site(ABC):
    """What the contract suite needs of an endpoint: an attempt that says something, one that waits,
    one that hangs, and a process that can be killed."""

    driver: Driver
    endpoint: str
    instance_id = IDS[0]
    #: Milliseconds after which the time limit of a story is over.
    short_ms = 50
    #: Seconds that a story waits for anything.
    patience_s = 5.0
    #: Makes ids of tasks and sessions unique where the instance outlives the story.
    tag = ""
    #: The instance knows its own id.
    names_instances = True
    may_delete_sessions = True
    labels: ClassVar[dict[str, str]] = {"topic": "x"}
    components = HealthComponents()

    def __init__(self) -> None:
        self._connections: list[Connection] = []

    @abstractmethod
    async def open(self) -> None: ...

    @abstractmethod
    async def crash(self) -> None:
        """The process dies; everything is forgotten."""

    @abstractmethod
    async def come_back(self) -> None:
        """A new process on the same endpoint."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def says(self, text: str) -> bytes:
        """Payload of an attempt that says this."""

    @abstractmethod
    def waits(self, text: str) -> bytes:
        """Payload of an attempt that says this after `release`, or after a while."""

    @abstractmethod
    def hangs(self) -> bytes:
        """Payload of an attempt that does not end by itself."""

    @abstractmethod
    def release(self) -> None: ...

    @abstractmethod
    def said(self, completion: Completion) -> str:
        """What an attempt that ended well said."""

    @abstractmethod
    def ran(self, name: str) -> int:
        """How often any attempt of that task was begun."""

    async def until_running(self, name: str) -> None:
        await self.until(lambda: self.ran(name) > 0, f"{name} runs")

    @abstractmethod
    async def until_forgotten(self, name: str) -> None:
        """An acknowledged attempt is not remembered any more."""

    def delivery(self, name: str, payload: bytes, **fields: Any) -> Delivery:
        return delivery(
            f"{name}{self.tag}", payload, **({"instance_id": self.instance_id} | fields)
        )

    def key(self, name: str, *, attempt: int = 1) -> str:
        return f"{name}{self.tag}:{attempt}"

    async def until(self, what: Callable[[], Any], description: str) -> Any:
        return await wait_until_async(what, description=description, timeout=self.patience_s)

    def config(self, instance_id: str = "") -> InstanceConfig:
        name = instance_id or self.instance_id
        return InstanceConfig(name, self.endpoint, driver=self.driver.name)

    async def connect(self) -> tuple[Connection, Listener]:
        """A started connection that stands."""
        listener = Listener(patience_s=self.patience_s)
        connection = self.driver.open_connection(self.config(), listener)
        self._connections.append(connection)
        await connection.start()
        await self.until(lambda: connection.connected, "connected")
        return connection, listener

    async def close_connections(self) -> None:
        for connection in self._connections:
            await connection.stop()


class HandlerSite(Site):
    """Two instances that run a handler of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Workload()
        self.configs = [InstanceConfig(name, "", capacity=CAPACITY) for name in IDS]

    @property
    @abstractmethod
    def station(self) -> Station: ...

    def says(self, text: str) -> bytes:
        return msgspec.json.encode({"return": text})

    def waits(self, text: str) -> bytes:
        return msgspec.json.encode({"wait": "gate", "return": text})

    def hangs(self) -> bytes:
        return b'{"wait": "never"}'

    def release(self) -> None:
        self.work.gate("gate").set()

    def said(self, completion: Completion) -> str:
        text: str = msgspec.json.decode(completion.result)
        return text

    def ran(self, name: str) -> int:
        return len([key for key in self.work.calls if key.rpartition(":")[0] == name])

    async def until_forgotten(self, name: str) -> None:
        host = self.station.hosts[IDS[0]]
        await self.until(lambda: "0 kept" in repr(host.table), f"{name} is forgotten")


class GrpcSite(HandlerSite):
    """A real gRPC server on a real port, on the test's own loop."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = GrpcDriver()
        self._process: InstanceProcess | None = None
        self._port = 0

    @property
    def station(self) -> Station:
        assert self._process is not None
        return self._process.station

    async def open(self) -> None:
        options = ProcessOptions(self.configs, Handler.of(self.work), port=self._port)
        self._process = InstanceProcess(options, FixedRegistrar(), SystemClock())
        await self._process.start()
        self.endpoint = self._process.endpoint
        self._port = int(self.endpoint.rpartition(":")[2])

    async def crash(self) -> None:
        process, self._process = self._process, None
        assert process is not None
        assert process._server is not None
        await process._server.stop(grace=None)
        await process.stop()

    async def come_back(self) -> None:
        await self.open()

    async def close(self) -> None:
        await self.close_connections()
        if self._process is not None:
            await self._process.stop()


class SimulatedSite(HandlerSite):
    """A make-believe process."""

    endpoint = "sim://a"

    def __init__(self) -> None:
        super().__init__()
        generations = dict.fromkeys(IDS, GENERATION)
        self.process = SimulatedEndpoint(
            self.endpoint,
            self.configs,
            Handler.of(self.work),
            SystemClock(),
            generations=generations,
        )
        self.driver = SimulatedDriver(SimulatedNetwork([self.process]))

    @property
    def station(self) -> Station:
        return self.process.running_station

    async def open(self) -> None:
        """It stands from the beginning."""

    async def crash(self) -> None:
        self.process.crash()

    async def come_back(self) -> None:
        self.process.boot_up()

    async def close(self) -> None:
        await self.close_connections()
        self.process.crash()


#: Whose instances run handlers of ours.
HANDLER_SITES: dict[str, Callable[[], HandlerSite]] = {"grpc": GrpcSite, "simulated": SimulatedSite}


def delivery(task_id: str, payload: bytes = b"{}", **fields: Any) -> Delivery:
    """A delivery to the first instance of a site."""
    given: dict[str, Any] = {
        "attempt": 1,
        "instance_id": IDS[0],
        "generation": GENERATION,
        "tenant_id": "acme",
    }
    return Delivery(task_id=task_id, payload=payload, **(given | fields))
