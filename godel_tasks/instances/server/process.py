"""InstanceProcess: the life of an instance process, from its port to its last heartbeat."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import grpc.aio

from godel_tasks.clock import Clock
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import StaleWriter, StoreError, WorkerError
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.grpc_wire import SERVER_OPTIONS
from godel_tasks.instances.handlers import Handler
from godel_tasks.instances.server.executors import executor_for
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.journal import Journal
from godel_tasks.instances.server.registrar import Heartbeat, Registrar
from godel_tasks.instances.server.service import InstanceService
from godel_tasks.instances.server.station import Station
from godel_tasks.instances.server.usage import ProcessUsage

log = logging.getLogger(__name__)

#: So many times in `STALE_WINDOW_S` is a lost registration made again before the process gives up:
#: two processes of one id would take it from each other for ever.
STALE_LIMIT = 3
STALE_WINDOW_S = 60.0
#: How long the last completions may take to leave when the process ends.
FLUSH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How an instance process serves. The endpoints in `instances` are filled in from the port."""

    instances: Sequence[InstanceConfig]
    handler: Handler
    host: str = "127.0.0.1"
    #: 0 takes a free one.
    port: int = 0
    #: The host that others reach this process by; "" means `host`.
    advertise: str = ""
    inline: bool = False
    journal: Path | None = None
    heartbeat_every_s: float = 1.0
    drain_timeout_s: float = 30.0


class InstanceProcess:
    """Serves, registers and sends heartbeats until it is drained or stopped.

    `start` and `stop` are idempotent; `stop` before `start` is safe.
    """

    def __init__(self, options: ProcessOptions, registrar: Registrar, clock: Clock) -> None:
        self._options = options
        self._registrar = registrar
        self._clock = clock
        self._journal = Journal(options.journal, clock) if options.journal else None
        threads = sum(config.capacity for config in options.instances)
        self._executor = executor_for(
            options.handler, clock, inline=options.inline, threads=threads
        )
        hosts = [self._make_host(config) for config in options.instances]
        self.station = Station(hosts, ProcessUsage(clock))
        self._service = InstanceService(self.station)
        self._server: grpc.aio.Server | None = None
        self._generations: dict[str, int] = {}
        self._heart: asyncio.Task[None] | None = None
        self._lost_at: list[float] = []
        self.endpoint = ""
        self._failure: asyncio.Future[WorkerError] | None = None

    def __repr__(self) -> str:
        return f"<InstanceProcess {self.endpoint or 'not started'} {self.station!r}>"

    async def start(self) -> asyncio.Future[WorkerError]:
        """Listen and register.

        Returns: a future that says why, should the process be unable to go on later.

        Raises:
            WorkerError: the port cannot be had.
            StoreError: the registry cannot be reached.
        """
        if self._failure is not None:
            return self._failure
        self._failure = failure = asyncio.get_running_loop().create_future()
        server = grpc.aio.server(options=SERVER_OPTIONS)
        self._service.add_to(server)
        self.endpoint = self._bind(server)
        self._server = server
        # Delivered to before it knows its generation it refuses, which costs no attempt.
        await server.start()
        await self._register()
        self._heart = asyncio.get_running_loop().create_task(self._beat_forever(failure))
        return failure

    async def drain(self, hurry: asyncio.Event | None = None) -> None:
        """Refuse what is new and finish what runs, up to the drain timeout or until `hurry`."""
        self.station.drain()
        with contextlib.suppress(StoreError):
            await self._registrar.heartbeat(self._beats())
        deadline = self._clock.monotonic() + self._options.drain_timeout_s
        await self._until(lambda: self.station.running == 0, deadline, hurry)

    async def stop(self) -> None:
        """Tell that what still runs is LOST, deregister and stop listening."""
        server, self._server = self._server, None
        if server is not None:
            await self._stop(server)
        self._executor.close()
        if self._journal is not None:
            self._journal.close()

    async def _stop(self, server: grpc.aio.Server) -> None:
        self.station.drain()
        self.station.close()
        if self._heart is not None:
            await end_task(self._heart)
        deadline = self._clock.monotonic() + FLUSH_TIMEOUT_S
        await self._until(lambda: self._service.flushed, deadline, None)
        with contextlib.suppress(StoreError):
            await self._registrar.deregister(self._generations)
        await server.stop(grace=0.1)

    def _make_host(self, config: InstanceConfig) -> InstanceHost:
        return InstanceHost(config, self._executor, self._clock, log=self._journal)

    def _bind(self, server: grpc.aio.Server) -> str:
        options = self._options
        try:
            port = server.add_insecure_port(f"{options.host}:{options.port}")
        except RuntimeError as error:
            raise WorkerError(
                f"cannot listen on {options.host}:{options.port}",
                hint="is the port in use? --port 0 takes a free one",
            ) from error
        return f"{options.advertise or options.host}:{port}"

    async def _register(self) -> None:
        configs = [replace(c, endpoint=self.endpoint) for c in self._options.instances]
        self._generations = await self._registrar.register(configs)
        self.station.register(self._generations)

    def _beats(self) -> list[Heartbeat]:
        station = self.station
        return [
            Heartbeat(instance_id, generation, station.metrics(instance_id), station.draining)
            for instance_id, generation in self._generations.items()
        ]

    async def _beat_forever(self, failure: asyncio.Future[WorkerError]) -> None:
        failing = False
        while True:
            await self._clock.sleep(self._options.heartbeat_every_s)
            try:
                await self._beat()
                if failing:
                    log.info("the registry answers again")
                failing = False
            except StoreError as error:
                if not failing:
                    log.warning("the registry does not answer; serving goes on: %s", error)
                failing = True
            except WorkerError as error:
                failure.set_result(error)
                return

    async def _beat(self) -> None:
        try:
            await self._registrar.heartbeat(self._beats())
        except StaleWriter as error:
            if self.station.draining:
                return  # it was given up already; it only finishes what it runs
            now = self._clock.monotonic()
            self._lost_at = [at for at in self._lost_at if at > now - STALE_WINDOW_S]
            if len(self._lost_at) >= STALE_LIMIT:
                raise WorkerError(
                    f"the registration of {', '.join(self._generations)} was lost"
                    f" {STALE_LIMIT + 1} times within {STALE_WINDOW_S:.0f} s",
                    hint="does another process use the same --id?",
                ) from error
            log.warning("the registration is over; registering again: %s", error)
            await self._register()
            self._lost_at.append(now)

    async def _until(
        self, done: Callable[[], bool], deadline: float, hurry: asyncio.Event | None
    ) -> None:
        """Look every few milliseconds: this happens once in a process's life."""
        while not done() and self._clock.monotonic() < deadline:
            if hurry is not None and hurry.is_set():
                return
            await self._clock.sleep(0.01)
