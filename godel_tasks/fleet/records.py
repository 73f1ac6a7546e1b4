"""FleetRecords: the manager's way to the store: one look at everything, and each change of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig
from godel_tasks.domain.pool import MadeInstance, PoolConfig
from godel_tasks.errors import StaleWriter, UnknownPool
from godel_tasks.openclaw.registering import deregistration, listing
from godel_tasks.store.command import Command
from godel_tasks.store.executor import Executor
from godel_tasks.store.pools import PoolCommands, Stored
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.views.instances import InstanceView, view_commands, views_of


@dataclass(frozen=True, slots=True)
class Look:
    """Redis's time, what was made, pools, and the registry, each by id or name."""

    now_ms: int
    pools: dict[str, PoolConfig]
    made: dict[str, Stored[MadeInstance]]
    views: dict[str, InstanceView]

    @property
    def superseded(self) -> dict[str, MadeInstance]:
        """Of those that another one is to replace: the other one."""
        every = (stored.value for stored in self.made.values())
        return {made.instead_of: made for made in every if made.instead_of}

    @property
    def providers(self) -> set[str]:
        """Of all templates, and of all that was made."""
        templates = (pool.template for pool in self.pools.values())
        names = {template.provider for template in templates if template is not None}
        return names | {stored.value.provider for stored in self.made.values()}

    def pool(self, name: str) -> PoolConfig:
        """`shared` is there without being declared, and so is one that was dropped while instances
        of it remain."""
        return self.pools.get(name) or PoolConfig(name)


class FleetRecords:
    """Reads and writes; decides nothing."""

    def __init__(self, store: Executor) -> None:
        self._store = store
        self._pools = PoolCommands()
        self._registry = RegistryCommands()

    async def look(self, *, only_made: bool = False) -> Look:
        """All of it; with `only_made`, of the registry only what was made here. Raises:
        StoreError."""
        fleet, pools, made = await self._store.pipeline(
            [self._registry.fleet(), self._pools.pools(), self._pools.all_made()]
        )
        leases = {n: end for n, end in fleet.leases.items() if n in made or not only_made}
        views = await self._views(leases, fleet.now_ms)
        return Look(
            fleet.now_ms,
            {name: stored.value for name, stored in pools.items()},
            made,
            {view.record.instance_id: view for view in views},
        )

    async def view(self, instance_id: str) -> InstanceView | None:
        """One registered instance."""
        fleet = await self._store.run(self._registry.fleet())
        lease = fleet.leases.get(instance_id)
        if lease is None:
            return None
        found = await self._views({instance_id: lease}, fleet.now_ms)
        return found[0] if found else None

    async def now_ms(self) -> int:
        return (await self._store.run(self._registry.fleet())).now_ms

    async def pool(self, name: str) -> PoolConfig:
        """Raises: UnknownPool, with the nearest name."""
        pools = await self._store.run(self._pools.pools())
        if name in pools:
            return pools[name].value
        if name == DEFAULT_POOL:
            return PoolConfig(name)
        near = difflib.get_close_matches(name, [*pools, DEFAULT_POOL], n=1)
        raise UnknownPool(
            f"no pool is called {name!r}",
            hint=f"did you mean {near[0]!r}?"
            if near
            else f"declare it with `godel pools add {name} --provider ...`",
        )

    async def made(self, instance_id: str) -> Stored[MadeInstance] | None:
        return await self._store.run(self._pools.made(instance_id))

    async def write(self, made: MadeInstance, *, before: str = "") -> Stored[MadeInstance]:
        """Raises: StaleWriter when somebody has changed it meanwhile."""
        if not await self._store.run(self._pools.put_made(made, before=before)):
            raise StaleWriter(
                f"somebody else has just changed what becomes of instance {made.instance_id!r}",
                hint="look with `godel instances list`, and try again",
            )
        return Stored.of(made)

    async def drop(self, stored: Stored[MadeInstance]) -> None:
        """Forget it; what somebody has changed meanwhile stays."""
        name = stored.value.instance_id
        await self._store.run(self._pools.drop_made(name, before=stored.raw))

    async def register(self, config: InstanceConfig) -> None:
        """Register an instance that does not register by itself."""
        generation = await self._store.run(self._registry.register(config))
        await self._in_turn(listing(self._registry, config, generation))

    async def deregister(self, instance_id: str, *, event: str = "instance.deregistered") -> None:
        """Take it out of the registry; idempotent."""
        await self._in_turn(deregistration(self._registry, instance_id, event=event))

    async def change_draining(self, instance_id: str, *, draining: bool) -> bool:
        """Give it nothing new, or work again; False when it is not registered."""
        change = self._registry.change(instance_id=instance_id, draining=draining)
        if not await self._store.run(change):
            return False
        tell = self._registry.tell(instance_id=instance_id, event="instance.changed")
        await self._store.run(tell)
        return True

    async def hold(self, holder: str, lease_ms: int) -> bool:
        """Be the one who looks after all; 0 gives it back."""
        return await self._store.run(self._pools.hold_tending(holder=holder, lease_ms=lease_ms))

    async def _views(self, leases: dict[str, int], now_ms: int) -> list[InstanceView]:
        replies = await self._store.pipeline(view_commands(self._registry, leases))
        return views_of(leases, replies, now_ms)

    async def _in_turn(self, commands: Sequence[Command[object]]) -> None:
        for command in commands:
            await self._store.run(command)
