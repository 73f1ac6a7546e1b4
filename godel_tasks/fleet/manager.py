"""InstanceManager: makes, starts, stops and removes instances, through their providers.

What it makes it writes down before it does (`made` in the registry), so that a kill at any moment
leaves nothing that nobody knows of: whoever looks after the fleet next (`fleet/tending.py`)
finishes or undoes it.
"""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.member import Member
from godel_tasks.domain.pool import (
    InstanceTemplate,
    MadeInstance,
    PoolConfig,
    Wanted,
)
from godel_tasks.errors import (
    GodelError,
    InvalidPool,
    SpawnFailed,
    StaleWriter,
    UnknownInstance,
    Unsupported,
)
from godel_tasks.fleet.busy import BUSY_MS, at_work
from godel_tasks.fleet.gate import Gate
from godel_tasks.fleet.records import FleetRecords, Look
from godel_tasks.fleet.roster import Provided, asked, member_of
from godel_tasks.instances.drivers import driver_named
from godel_tasks.instances.instance import Driver
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers import provider_named
from godel_tasks.policy.lifecycle import deaths_after
from godel_tasks.runtime import Runtime
from godel_tasks.store.executor import Executor
from godel_tasks.store.pools import Stored

if TYPE_CHECKING:
    from godel_tasks.fleet.tending import Tended

#: Names that are taken are tried again; so many times is a fault.
TRIES = 30
#: Until a provider that names its instances has another name, when several ask at once.
TAKEN_S = 0.5


class InstanceManager:
    """See the module. One for each event loop; it holds no connection but `store`."""

    def __init__(
        self,
        store: Executor,
        *,
        clock: Clock | None = None,
        providers: Callable[[str], Provider] = provider_named,
        drivers: Callable[[str], Driver] = driver_named,
    ) -> None:
        self.records = FleetRecords(store)
        self._clock = clock or SystemClock()
        self._drivers = drivers
        self._make_provider = providers
        self._providers: dict[str, Provider] = {}
        self.gate = Gate(self.records, self._clock, drivers)

    def provider(self, name: str) -> Provider:
        """Raises: Unsupported."""
        if name not in self._providers:
            self._providers[name] = self._make_provider(name)
        return self._providers[name]

    # ------------------------------------------------------------------------------- look

    async def instances(self, pool: str = "", *, ask_providers: bool = False) -> list[Member]:
        """The instances of a pool, or all, by id: who is registered, and what was made. With
        `ask_providers`, also what they see of it; they may take a while."""
        look = await self.records.look()
        provided = (await self.provided(look)).instances if ask_providers else {}
        names = sorted({*look.made, *look.views, *provided})
        members = [member_of(look, name, provided.get(name)) for name in names]
        return [member for member in members if pool in ("", member.pool)]

    async def provided(self, look: Look) -> Provided:
        """What the providers of all pools, and of all that was made, see from here."""
        return await asked({name: self.provider(name) for name in look.providers})

    # ------------------------------------------------------------------------------- make

    async def spawn(self, pool: str, *, instead_of: str = "", deaths: int = 0) -> str:
        """Make an instance of a pool, and come back with its id when it is registered and healthy.

        Raises:
            UnknownPool: no such pool.
            InvalidPool: it has no template, or its provider refuses that.
            SpawnFailed, InstanceError: it did not come up; nothing of it is left.
        """
        config = await self.records.pool(pool)
        template = _template(config)
        provider = self.provider(template.provider)
        provider.check(template)
        stored = await self._write_down(template, provider, instead_of, deaths)
        name = stored.value.instance_id
        async with at_work(self.records, stored, self._clock) as busy:
            try:
                await provider.spawn(template, name)
                await self._register(name, provider, template.driver)
                await self._pass_gate(name, provider)
            except BaseException:
                await self._undo(busy.stored, provider)
                raise
        now_ms = await self.records.now_ms()
        done = replace(busy.stored.value, wanted=Wanted.UP, since_ms=now_ms, until_ms=0)
        await self.records.write(done, before=busy.stored.raw)
        return name

    async def remove(self, instance_id: str, *, grace_s: float | None = None) -> None:
        """Stop it, remove what it was made of, and take it out of the registry; idempotent.
        Whoever wants its work finished drains it first and waits; `grace_s` as `Provider.remove`.

        Raises:
            Unsupported: its provider removes none.
        """
        stored = await self.records.made(instance_id)
        view = await self.records.view(instance_id)
        if stored is None:
            if view is not None:
                await self.provider(view.config.provider).remove(instance_id, grace_s=grace_s)
                await self.records.deregister(instance_id)
            return
        now_ms = await self.records.now_ms()
        before = stored.value
        leaving = replace(before, wanted=Wanted.LEAVING, since_ms=now_ms, until_ms=now_ms + BUSY_MS)
        stored = await self.records.write(leaving, before=stored.raw)
        async with at_work(self.records, stored, self._clock) as busy:
            try:
                await self.provider(leaving.provider).remove(instance_id, grace_s=grace_s)
            except Unsupported:
                await self.records.write(before, before=busy.stored.raw)
                raise
            await self.records.deregister(instance_id)
        await self.records.drop(busy.stored)

    async def replace(self, instance_id: str) -> str:
        """End it and all of it, now, and make another one of its pool; the other one's id.

        It stays written down until the other one is there, so that a kill in between costs the
        pool no instance; one that was about to replace it is told by `StaleWriter`.

        Raises:
            UnknownInstance: it was not made here.
            SpawnFailed, InstanceError: the other one did not come up; it is tried again, later.
        """
        stored = await self.records.made(instance_id)
        if stored is None:
            raise UnknownInstance(
                f"no instance {instance_id!r} was made for a pool",
                hint="look with `godel instances list`",
            )
        old = stored.value
        deaths = deaths_after(old, await self.records.now_ms())
        async with at_work(self.records, stored, self._clock) as busy:
            await self.provider(old.provider).remove(instance_id, grace_s=0)
            await self.records.deregister(instance_id, event="instance.lost")
            try:
                name = await self.spawn(old.pool, instead_of=instance_id, deaths=deaths)
            except GodelError:
                now_ms = await self.records.now_ms()
                failed = replace(busy.stored.value, since_ms=now_ms, until_ms=0, deaths=deaths)
                async with busy.writing:
                    busy.stored = await self.records.write(failed, before=busy.stored.raw)
                raise
        await self.records.drop(busy.stored)
        return name

    async def adopt(self) -> list[Tended]:
        """Look after all that was made, once: adopt what runs and nobody has written down, finish
        or undo what somebody died over, replace what is dead in pools that replace. What was done
        or failed, by id; nothing when somebody else is at it."""
        from godel_tasks.fleet.tending import Tender

        return await Tender(self, self._clock).once()

    # ----------------------------------------------------------------------- start, stop

    async def start(self, instance_id: str) -> None:
        """Start it and come back when it is registered and healthy; it is given work again.

        Raises:
            UnknownInstance: no such instance.
            Unsupported: its provider cannot.
            InstanceError: it did not come up.
        """
        config = await self._config(instance_id)
        provider = self.provider(config.provider)
        await provider.start(config)
        await self._register(instance_id, provider, config.driver)
        await self._pass_gate(instance_id, provider)
        await self._want(instance_id, Wanted.UP)
        await self.undrain(instance_id)

    async def stop(self, instance_id: str) -> None:
        """Give it nothing new, let it finish what it runs (within its provider's limit) and stop
        it. It stays stopped until `start`: it is not replaced. Raises as `start`."""
        config = await self._config(instance_id)
        provider = self.provider(config.provider)
        await self.drain(instance_id)
        await self._want(instance_id, Wanted.STOPPED)
        await provider.stop(config)

    async def restart(self, instance_id: str) -> None:
        """Stop it and start it again, with what it is; come back when it is registered anew and
        healthy. Whether it drains stays as it was. Raises as `start`."""
        config = await self._config(instance_id)
        provider = self.provider(config.provider)
        view = await self.records.view(instance_id)
        stored = await self.records.made(instance_id)
        async with contextlib.AsyncExitStack() as stack:
            if stored is not None:  # or its absence would look like its death
                await stack.enter_async_context(at_work(self.records, stored, self._clock))
            await provider.restart(config)
            await self._register(instance_id, provider, config.driver)
            before = view.record.generation if view else 0
            await self._pass_gate(instance_id, provider, newer_than=before)
        await self._want(instance_id, Wanted.UP)

    async def drain(self, instance_id: str) -> bool:
        """From now on it is given nothing new, and finishes what it runs. False when it is not
        registered."""
        return await self.records.change_draining(instance_id, draining=True)

    async def undrain(self, instance_id: str) -> bool:
        """It is given work again. False when it is not registered."""
        return await self.records.change_draining(instance_id, draining=False)

    # ------------------------------------------------------------------------ inner steps

    async def _write_down(
        self, template: InstanceTemplate, provider: Provider, instead_of: str, deaths: int
    ) -> Stored[MadeInstance]:
        for _ in range(TRIES):
            named = await provider.next_id(template)
            now_ms = await self.records.now_ms()
            made = MadeInstance(
                named or f"{template.pool}-{secrets.token_hex(3)}",
                template.pool,
                template.provider,
                template.driver,
                provider.place,
                Wanted.MAKING,
                since_ms=now_ms,
                until_ms=now_ms + BUSY_MS,
                deaths=deaths,
                instead_of=instead_of,
            )
            # A name that its provider chose may have been that of one before it.
            if named or await self.records.view(made.instance_id) is None:
                with contextlib.suppress(StaleWriter):
                    return await self.records.write(made)
            if named:  # somebody else makes that one just now; then there is another next one
                await self._clock.sleep(TAKEN_S * random.uniform(0.5, 1.0))
        raise SpawnFailed(f"no free name was found for an instance of pool {template.pool!r}")

    async def _register(self, instance_id: str, provider: Provider, driver: str) -> None:
        """Where its driver's instances do not register by themselves."""
        if self._drivers(driver).self_registering:
            return
        config = await self._provided_config(instance_id, provider)
        view = await self.records.view(instance_id)
        if config is None and view is not None:
            config = view.config
        if config is None:
            raise SpawnFailed(
                f"the provider {provider.name!r} does not say where {instance_id!r} is"
            )
        await self.records.register(config)

    async def _provided_config(self, instance_id: str, provider: Provider) -> InstanceConfig | None:
        for each in await provider.provided():
            if each.instance_id == instance_id:
                return each.config
        return None

    async def _pass_gate(
        self, instance_id: str, provider: Provider, *, newer_than: int = 0
    ) -> None:
        try:
            await self.gate.passed(instance_id, newer_than=newer_than)
        except SpawnFailed as error:
            words = await provider.last_words(instance_id)
            raise SpawnFailed(
                f"{error.message}\n{words}" if words else error.message, hint=error.hint
            ) from error

    async def _undo(self, stored: Stored[MadeInstance], provider: Provider) -> None:
        """Nothing of it is to be left. What fails now is done by whoever looks after all."""
        name = stored.value.instance_id
        await provider.remove(name, grace_s=0)
        await self.records.deregister(name)
        await self.records.drop(stored)

    async def _config(self, instance_id: str) -> InstanceConfig:
        view = await self.records.view(instance_id)
        if view is not None:
            return view.config
        stored = await self.records.made(instance_id)
        if stored is None:
            raise UnknownInstance(
                f"no instance is called {instance_id!r}", hint="look with `godel instances list`"
            )
        made = stored.value
        known = await self._provided_config(instance_id, self.provider(made.provider))
        return known or InstanceConfig(
            instance_id, "", made.driver, pool=made.pool, provider=made.provider
        )

    async def _want(self, instance_id: str, wanted: Wanted) -> None:
        stored = await self.records.made(instance_id)
        if stored is not None:
            now_ms = await self.records.now_ms()
            made = replace(stored.value, wanted=wanted, since_ms=now_ms, until_ms=0)
            await self.records.write(made, before=stored.raw)


def _template(config: PoolConfig) -> InstanceTemplate:
    if config.template is None:
        raise InvalidPool(
            f"pool {config.name!r} says nothing of what its instances are made from",
            hint=f"say it with `godel pools set {config.name} --provider ...`",
        )
    return config.template


@asynccontextmanager
async def open_manager(
    runtime: Runtime, *, providers: Callable[[str], Provider] = provider_named
) -> AsyncIterator[InstanceManager]:
    """A manager with a store of its own, closed at the end. Raises: StoreUnavailable."""
    store = runtime.async_store()
    try:
        yield InstanceManager(store, providers=providers)
    finally:
        await store.close()


__all__ = ["InstanceManager", "open_manager"]
