"""InstanceRegistry: who is there, what they offer, how they are, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from godel_tasks.dispatch.seen import guards_of
from godel_tasks.domain.instance import (
    Health,
    HealthEvent,
    InstanceConfig,
    InstanceMetrics,
    InstanceStatus,
)
from godel_tasks.domain.requirement import NO_REQUIREMENT, Requirement, RequirementClass
from godel_tasks.errors import StaleWriter, StoreUnavailable, UnknownTenant
from godel_tasks.instances.server.registrar import Heartbeat
from godel_tasks.policy.balancer import LoadBalancer
from godel_tasks.policy.capabilities import holds
from godel_tasks.policy.labels import groups_of
from godel_tasks.policy.strategy import Candidate
from godel_tasks.runtime import RedisRegistrar, Runtime
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.executor import AsyncExecutor
from godel_tasks.store.fleet_events import FleetEventCommands
from godel_tasks.views.candidates import candidates_among
from godel_tasks.views.instances import InstanceView, view_commands, views_of

#: How long one wait for events takes at most, in milliseconds.
WAIT_MS = 2000
#: Seconds between two tries while Redis is away.
AGAIN_S = 0.5


class InstanceRegistry:
    """Make it with `opened`. Methods that write raise `StaleWriter` where another registration of
    the instance is in force; all raise `StoreUnavailable` while Redis is away, but
    `monitor_health`, which waits.
    """

    def __init__(self, runtime: Runtime, store: AsyncExecutor) -> None:
        self._runtime = runtime
        self._store = store
        self._registry = runtime.registry
        self._events = FleetEventCommands()
        self._breakers = BreakerCommands()
        settings = runtime.settings
        self._balancer = LoadBalancer(random.Random(), settings.strategy, settings.regions)
        self._registrar = RedisRegistrar(store, runtime.settings.instance_lease_ms)
        #: Registrations that were made here.
        self.generations: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<InstanceRegistry with {len(self.generations)} registrations of its own>"

    @classmethod
    @asynccontextmanager
    async def opened(cls, runtime: Runtime) -> AsyncIterator[Self]:
        """On the running event loop; what was registered stays when it is closed."""
        store = runtime.async_store()
        try:
            yield cls(runtime, store)
        finally:
            await store.close()

    # -- for an instance ---------------------------------------------------------------------

    async def register(self, config: InstanceConfig) -> str:
        """A new registration, alive for one lease (`instance_lease_ms`); its id."""
        self.generations |= await self._registrar.register([config])
        return config.instance_id

    async def heartbeat(
        self, instance_id: str, metrics: InstanceMetrics | None = None, *, draining: bool = False
    ) -> None:
        """Live for another lease.

        Raises:
            StaleWriter: it was registered by somebody else since, or never here.
        """
        generation = self._own(instance_id)
        beat = Heartbeat(instance_id, generation, metrics or InstanceMetrics(), draining)
        await self._registrar.heartbeat([beat])

    async def deregister(self, instance_id: str) -> None:
        """Leave. A newer registration is left alone.

        Raises:
            StaleWriter: it was never registered here.
        """
        generation = self._own(instance_id)
        await self._registrar.deregister({instance_id: generation})
        del self.generations[instance_id]

    def _own(self, instance_id: str) -> int:
        generation = self.generations.get(instance_id)
        if generation is None:
            raise StaleWriter(
                f"instance {instance_id!r} is not registered by this process",
                hint="register it first",
            )
        return generation

    # -- looking -----------------------------------------------------------------------------

    async def query(
        self,
        requirement: Requirement = NO_REQUIREMENT,
        *,
        pool: str = "",
        health: Health | None = None,
        status: InstanceStatus | None = None,
    ) -> list[InstanceView]:
        """Instances that fit, by id: found by the index, so that only those are read which offer
        what is wanted."""
        groups = groups_of(requirement.capabilities, pool=pool, region=requirement.region)
        fleet, ids = await self._store.pipeline(
            [self._registry.fleet(), self._registry.find_labelled(groups)]
        )
        wanted = [i for i in ids if requirement.instance_id in ("", i) and i in fleet.leases]
        leases = {instance_id: fleet.leases[instance_id] for instance_id in wanted}
        replies = await self._store.pipeline(view_commands(self._registry, leases))
        return [
            view
            for view in views_of(leases, replies, fleet.now_ms)
            if all(holds(c, view.config.capabilities) for c in requirement.capabilities)
            and health in (None, view.record.health)
            and status in (None, view.status)
        ]

    async def find_best_instance(
        self, requirement: Requirement = NO_REQUIREMENT, *, pool: str = ""
    ) -> str | None:
        """Where a task would go right now by the deployment's strategy, or the one that the
        requirement names: the filters, the breakers and the order are those of routing. None when
        there is no candidate."""
        views = await self.query(requirement, pool=pool)
        guards = dict.fromkeys(name for view in views for name in guards_of(view.record))
        read = await self._store.pipeline([self._breakers.read(name) for name in guards])
        breakers = {snapshot.name: snapshot for snapshot in read}
        candidates: list[Candidate] = []
        for view in views:
            wanted = RequirementClass("", view.config.pool, requirement)
            candidates += candidates_among([view], wanted, breakers)[0]
        ranked = self._balancer.ranked(RequirementClass("", pool, requirement), candidates, 1)
        return ranked[0].instance_id if ranked else None

    async def get_healthy_instances(self, tenant_id: str) -> list[InstanceView]:
        """Up and healthy ones of the pools that the tenant may use, its own pool's first.

        Raises:
            UnknownTenant: there is none of that name.
        """
        cell = await asyncio.to_thread(self._runtime.cell_of, tenant_id)
        tenant = await self._store.run(cell.tenants.status(tenant_id))
        if tenant is None:
            raise UnknownTenant(f"no tenant is called {tenant_id!r}")
        found = []
        for pool in tenant.config.pools:
            found += await self.query(pool=pool, health=Health.HEALTHY, status=InstanceStatus.UP)
        return found

    async def get_all_instances(self) -> list[InstanceView]:
        """Every registered instance, dead ones too, by id."""
        fleet = await self._store.run(self._registry.fleet())
        leases = dict(sorted(fleet.leases.items()))
        replies = await self._store.pipeline(view_commands(self._registry, leases))
        return views_of(leases, replies, fleet.now_ms)

    async def monitor_health(self, since: str = "") -> AsyncGenerator[HealthEvent, None]:
        """Events as they come, without end: from now, or after the event of that id. Goes on after
        Redis was away; about the last 10,000 events can still be read."""
        last = since
        while True:
            try:
                if not last:
                    last = await self._store.run(self._events.newest())
                events = await self._store.run(self._events.after(last, wait_ms=WAIT_MS))
            except StoreUnavailable:
                await asyncio.sleep(AGAIN_S)
                continue
            for event in events:
                last = event.event_id
                yield event
