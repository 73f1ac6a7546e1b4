"""Reads what scaling looks at: what waits in the cells, who is there, what pools are made from,
whose breakers are open."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from godel_tasks.dispatch.config import CellStore
from godel_tasks.domain.breaker import PROVIDER_BREAKER
from godel_tasks.domain.member import Member
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.errors import InstanceError, PoolError
from godel_tasks.instances.providers import provider_named
from godel_tasks.policy.scaling.seeing import PoolSeen, Waiting
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.command import Command
from godel_tasks.store.executor import Executor
from godel_tasks.store.pools import PoolCommands


class Fleet(Protocol):
    """What scaling needs of whoever makes and removes instances: `InstanceManager`."""

    async def spawn(self, pool: str) -> str:
        """Make one; its id once it is there.

        Raises:
            GodelError: it did not come up, and nothing of it is left.
        """
        ...

    async def drain(self, instance_id: str) -> object:
        """Give it nothing new from now on. Idempotent."""
        ...

    async def remove(self, instance_id: str) -> None:
        """End it, and take it out of the registry: what it still runs is lost to its dispatcher,
        which does with it what `on_uncertain` says. Idempotent."""
        ...

    async def instances(self, pool: str = "", *, ask_providers: bool = False) -> Sequence[Member]:
        """Those of a pool, or all; with what their providers see, which may take a while."""
        ...


async def open_providers(store: Executor) -> frozenset[str]:
    """Providers, and "provider/model", whose breakers do not let everything through.

    Raises:
        StoreUnavailable
    """
    breakers = BreakerCommands()
    names = [n for n in await store.run(breakers.names()) if n.startswith(PROVIDER_BREAKER)]
    states = await store.pipeline([breakers.read(name) for name in names])
    return frozenset(
        snapshot.name.removeprefix(PROVIDER_BREAKER)
        for snapshot in states
        if not snapshot.state.lets_through
    )


class ScalingReader:
    """One reading for all pools."""

    def __init__(self, store: Executor, cells: Sequence[CellStore], fleet: Fleet) -> None:
        self._store = store
        self._cells = cells
        self._fleet = fleet
        self._pools = PoolCommands()

    async def read(
        self, pools: Collection[str], at_ms: int, *, averages: Collection[str] = ()
    ) -> dict[str, PoolSeen]:
        """What there is to see of these pools; of `averages` also how long attempts take."""
        waiting, sessions = await self._cells_look()
        declared = await self._store.run(self._pools.pools())
        providers = await open_providers(self._store)
        members = await self._fleet.instances()
        found = {}
        for pool in pools:
            seen = PoolSeen(
                pool,
                at_ms,
                members=[member for member in members if member.pool == pool],
                waiting=waiting,
                sessions=sessions,
                open_providers=providers,
            )
            if pool in declared:
                config = declared[pool].value
                seen = replace(
                    seen,
                    template=config.template,
                    replaces=config.replace,
                    last_first=_last_first(config.template),
                )
                rollout = await self._store.run(self._pools.rollout(pool))
                if rollout is not None and rollout.value.until_ms > at_ms:
                    seen = replace(seen, restarting=frozenset(rollout.value.in_hand))
            if pool in averages:
                seen = replace(seen, average_ms=await self._average_ms(pool))
            found[pool] = seen
        return found

    async def _cells_look(self) -> tuple[list[Waiting], Mapping[str, int]]:
        """What waits by class, and the sessions that are pinned by instance."""
        commands: list[Command[Any]] = []
        for cell in self._cells:
            commands += [cell.lookup.waiting(), cell.leases.classes(), cell.sessions.pinned()]
        replies = await self._store.pipeline(commands)
        found = []
        sessions: Counter[str] = Counter()
        for i in range(len(self._cells)):
            counts, specs, pinned = replies[3 * i : 3 * i + 3]
            sessions.update(pinned)
            found += [
                Waiting(RequirementClass.parse(name, specs[name]), count)
                for name, count in counts.items()
                if count > 0 and name in specs
            ]
        return found, sessions

    async def _average_ms(self, pool: str) -> float:
        """The moving average of the pool's tenants, each as much as it has waiting."""
        total = weight = 0.0
        for cell in self._cells:
            names = await self._store.run(cell.tenants.names())
            for status in await self._store.pipeline([cell.tenants.status(n) for n in names]):
                if status is not None and status.config.pool == pool and status.average_ms > 0:
                    total += status.average_ms * max(1, status.depth)
                    weight += max(1, status.depth)
        return total / weight if weight else 0.0


def _last_first(template: InstanceTemplate | None) -> bool:
    # A template that its provider would refuse is told of when somebody makes one of it.
    with contextlib.suppress(PoolError, InstanceError):
        return template is not None and provider_named(template.provider).last_first(template)
    return False
