"""Simulated instances: they register, heartbeat, run attempts, crash, and lose touch."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics
from godel_tasks.instances.drivers.simulated import SimulatedNetwork
from godel_tasks.instances.drivers.simulated_endpoint import Act, Link, SimulatedEndpoint
from godel_tasks.instances.handlers import TaskContext
from godel_tasks.store.registry import RegistryCommands
from tests.simulation.process import SimClock
from tests.simulation.server import SimServer

LEASE_MS = 3000
HEARTBEAT_S = 1.0


@dataclass(frozen=True)
class Temper:
    """How attempts behave: odds of raising, and the longest run in seconds."""

    fails: float = 0.0
    hangs: float = 0.0
    longest_s: float = 0.5


class Site:
    """One instance behind an endpoint of its own."""

    def __init__(
        self,
        server: SimServer,
        network: SimulatedNetwork,
        clock: SimClock,
        rng: random.Random,
        config: InstanceConfig,
        temper: Temper,
        *,
        watchful: bool,
    ) -> None:
        self.config = config
        self.touching = True
        self._registered = False
        self._server = server
        self._rng = rng
        self._temper = temper
        self._watchful = watchful
        self._registry = RegistryCommands()
        self.endpoint = SimulatedEndpoint(
            config.endpoint,
            [config],
            self._plan,
            clock,
            link=Link(latency_s=0.001, jitter_s=0.02, random=rng),
        )
        network.add(self.endpoint)
        self._loosen()

    def __repr__(self) -> str:
        return f"<Site {self.config.instance_id} {self.endpoint!r}>"

    def _loosen(self) -> None:
        """An instance that checks nothing shows what the dispatchers' own accounts are worth."""
        if not self._watchful and self.endpoint.station is not None:
            for host in self.endpoint.station.hosts.values():
                host.table.capacity = 1000

    @property
    def peak(self) -> int:
        return self.endpoint.peak(self.config.instance_id)

    def _plan(self, payload: Any, context: TaskContext) -> Act:
        rng, temper = self._rng, self._temper
        latency_s = rng.random() * temper.longest_s
        dice = rng.random()
        if dice < temper.fails:
            return Act(latency_s=latency_s, raises=ValueError("as the seed has it"))
        if dice < temper.fails + temper.hangs:
            return Act(hangs=True)
        return Act(latency_s=latency_s, returns={"echo": payload})

    async def live(self) -> None:
        """Register, then heartbeat."""
        self._register()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.touching and self._registered:
                self._beat()

    def _register(self) -> None:
        generation = self._server.ask(self._registry.register(self.config))
        self.endpoint.register({self.config.instance_id: generation})
        self._registered = True
        self._attend("instance.registered")

    def _beat(self) -> None:
        report = self._registry.report(
            instance_id=self.config.instance_id,
            generation=self.endpoint.generation(self.config.instance_id),
            metrics=InstanceMetrics(),
            draining=False,
        )
        if self._server.ask(report):
            self._attend("")
        else:
            self._register()

    def _attend(self, event: str) -> None:
        self._server.ask(
            self._registry.attend(
                instance_ids=[self.config.instance_id], lease_ms=LEASE_MS, event=event
            )
        )

    # ------------------------------------------------------------------------------- trouble

    async def crash(self, down_s: float) -> None:
        if not self._registered:
            return
        self._registered = False
        self.endpoint.crash()
        await asyncio.sleep(down_s)
        # Until it has registered it belongs to no generation.
        self.endpoint.register({self.config.instance_id: 0})
        self.endpoint.boot_up()
        self._loosen()
        await asyncio.sleep(self._rng.random())
        self._register()

    async def partition(self, down_s: float) -> None:
        """Nobody reaches it; it heartbeats all the same."""
        self.endpoint.partition()
        await asyncio.sleep(down_s)
        self.endpoint.heal()

    async def lose_touch(self, down_s: float) -> None:
        """The registry hears nothing of it; it runs all the same."""
        self.touching = False
        await asyncio.sleep(down_s)
        self.touching = True

    async def cut(self) -> None:
        self.endpoint.disconnect()
