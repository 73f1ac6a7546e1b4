"""The composition root: settings become clients, commands, dispatchers. Nothing else wires."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Protocol, cast

import redis.asyncio
from redis.exceptions import RedisError

from godel_tasks.clock import SystemClock
from godel_tasks.dispatch.config import CellStore, DispatchConfig, Follower, Ports
from godel_tasks.domain.breaker import BreakerConfig
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.task import OnUncertain
from godel_tasks.embedded import ServerUrls, resolve_urls
from godel_tasks.errors import InvalidBreaker, SettingsError, StaleWriter, StoreError
from godel_tasks.events import EventBus
from godel_tasks.instances.drivers import driver_named
from godel_tasks.instances.server.registrar import Heartbeat
from godel_tasks.policy.admission import AdmissionRules
from godel_tasks.policy.health import HealthRules
from godel_tasks.policy.massloss import MassLossRules
from godel_tasks.policy.retry import RetryRules
from godel_tasks.policy.strategies import check_strategy
from godel_tasks.settings import Settings
from godel_tasks.store.command import call, text
from godel_tasks.store.executor import (
    AsyncExecutor,
    Executor,
    SyncExecutor,
    connect_async,
    connect_sync,
    translate,
)
from godel_tasks.store.keys import result_key
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.store.version import server_version

#: How long the generation of an instance that left is remembered.
GENERATION_KEPT_MS = 86_400_000


class RedisWaker:
    """Blocking pops, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self._client = connect_async(url, answer_timeout_s=None)

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        try:
            popped = await self._client.blpop([wake_key], timeout=timeout_s)
        except (RedisError, OSError) as error:
            raise translate(error) from error
        return text(popped[1]) if popped is not None else None

    async def close(self) -> None:
        await self._client.aclose()


class RedisResultSink:
    """Results in Celery's format: one script per batch on the result server."""

    def __init__(self, executor: Executor, expires_s: int) -> None:
        self._executor = executor
        self._expires_s = expires_s

    async def publish(self, results: Sequence[tuple[str, bytes]]) -> None:
        await self._executor.run(
            call(
                "publish",
                keys=[result_key(task_id) for task_id, _ in results],
                args=[self._expires_s, *(meta for _, meta in results)],
                decode=int,
            )
        )


class RedisRegistrar:
    """The registry as an instance process uses it."""

    def __init__(self, executor: AsyncExecutor, lease_ms: int) -> None:
        self._executor = executor
        self._lease_ms = lease_ms
        self._registry = RegistryCommands()

    async def register(self, configs: Sequence[InstanceConfig]) -> dict[str, int]:
        generations = await self._executor.pipeline(
            [self._registry.register(config) for config in configs]
        )
        registered = list(zip(configs, generations, strict=True))
        await self._executor.pipeline(
            [
                self._registry.enlist(config, generation=generation, lease_ms=self._lease_ms)
                for config, generation in registered
            ]
        )
        ids = [config.instance_id for config in configs]
        await self._executor.pipeline([self._registry.keep(instance_id=name) for name in ids])
        return dict(zip(ids, generations, strict=True))

    async def heartbeat(self, beats: Sequence[Heartbeat]) -> None:
        answers = await self._executor.pipeline(
            [
                self._registry.report(
                    instance_id=beat.instance_id,
                    generation=beat.generation,
                    metrics=beat.metrics,
                    draining=beat.draining,
                )
                for beat in beats
            ]
        )
        stale = [b.instance_id for b, ok in zip(beats, answers, strict=True) if not ok]
        if stale:
            raise StaleWriter(
                f"{', '.join(stale)} was registered by another process, or declared dead",
                hint="give each process its own --id",
            )
        ids = [beat.instance_id for beat in beats]
        await self._executor.run(self._registry.attend(instance_ids=ids, lease_ms=self._lease_ms))

    async def deregister(self, generations: Mapping[str, int]) -> None:
        for instance_id, generation in generations.items():
            depart = self._registry.depart(instance_id=instance_id, generation=generation)
            if await self._executor.run(depart):
                # Its hash stays for a while: the generation must rise when it comes back.
                await self._executor.run(
                    self._registry.expire_info(instance_id=instance_id, after_ms=GENERATION_KEPT_MS)
                )


@asynccontextmanager
async def open_registrar(settings: Settings) -> AsyncIterator[RedisRegistrar]:
    """The registry for an instance process.

    Raises:
        StoreUnavailable: nothing runs to attach to.
    """
    executor = AsyncExecutor(connect_async(resolve_urls(settings).state))
    try:
        yield RedisRegistrar(executor, settings.instance_lease_ms)
    finally:
        await executor.close()


class HasRuntime(Protocol):
    """A Celery app of Godel's, for those below it: types of Celery's know only of `Celery`."""

    @property
    def godel(self) -> Runtime: ...


def runtime_of(app: object) -> Runtime:
    """The runtime that a Celery app of Godel's carries.

    Raises:
        SettingsError: it is made now, and a setting is wrong.
    """
    return cast("HasRuntime", app).godel


class Runtime:
    """What one process needs, made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.registry = RegistryCommands()
        self.cells = tuple(CellStore(cell) for cell in range(settings.cells))

    @cached_property
    def urls(self) -> ServerUrls:
        """Raises: StoreUnavailable when nothing runs to attach to."""
        return resolve_urls(self.settings)

    @cached_property
    def store(self) -> SyncExecutor:
        """The state server, for producers and the CLI.

        Raises: StoreUnavailable, StoreVersionError.
        """
        executor = SyncExecutor(connect_sync(self.urls.state))
        try:
            executor.run(server_version())
        except StoreError:
            executor.close()
            raise
        return executor

    @cached_property
    def results(self) -> SyncExecutor:
        """The result server, read-only uses."""
        return SyncExecutor(connect_sync(self.urls.result))

    @cached_property
    def rules(self) -> AdmissionRules:
        return AdmissionRules(
            payload_limit_bytes=self.settings.payload_limit_bytes,
            session_ttl_ms=int(self.settings.session_ttl_s * 1000),
        )

    def cell_of(self, tenant_id: str) -> CellStore:
        """The tenant's cell: chosen when it is created and kept on its record."""
        if len(self.cells) == 1:
            return self.cells[0]
        from godel_tasks.store.directory import cell_number

        return self.cells[cell_number(self.store, tenant_id, len(self.cells))]

    def async_store(self) -> AsyncExecutor:
        """A new asynchronous client of the state server; the caller closes it."""
        return AsyncExecutor(connect_async(self.urls.state))

    def async_results(self) -> redis.asyncio.Redis:
        """A new asynchronous client of the result server; the caller closes it."""
        return connect_async(self.urls.result, answer_timeout_s=None)

    def dispatch_config(self) -> DispatchConfig:
        """Raises: SettingsError: the default strategy is none."""
        s = self.settings
        if wrong := check_strategy(s.strategy):
            raise SettingsError([f"strategy: {wrong.message}; {wrong.hint}"])
        return DispatchConfig(
            lease_ms=s.lease_ms,
            renew_every_ms=s.renew_every_ms,
            lease_safety_ms=s.lease_safety_ms,
            instance_lease_ms=s.instance_lease_ms,
            unreachable_after_ms=int(s.unreachable_after_s * 1000),
            ageing_step_ms=int(s.ageing_step_s * 1000),
            claim_batch=s.claim_batch,
            max_in_flight=s.max_in_flight,
            attempt_timeout_ms=int(s.attempt_timeout_s * 1000),
            drain_timeout_s=s.drain_timeout_s,
            unroutable_after_ms=int(s.unroutable_after_s * 1000),
            on_uncertain=OnUncertain(s.on_uncertain),
            strategy=s.strategy,
            region_order=s.regions,
            retry=RetryRules(s.max_attempts, s.backoff_base_s, s.backoff_max_s),
            mass_loss=self.mass_loss_rules(),
            breaker=self.breaker_config(),
            instance_breakers=s.instance_breakers,
            provider_breakers=s.provider_breakers,
        )

    def breaker_config(self) -> BreakerConfig:
        """Raises: SettingsError: two settings of breakers do not agree."""
        s = self.settings
        try:
            return BreakerConfig(
                window_s=s.breaker_window_s,
                min_calls=s.breaker_min_calls,
                failure_rate=s.breaker_failure_rate,
                slow_call_s=s.breaker_slow_call_s,
                open_s=s.breaker_open_s,
                max_open_s=s.breaker_max_open_s,
                half_open_permits=s.breaker_half_open_permits,
                success_threshold=s.breaker_success_threshold,
                quorum=s.breaker_quorum,
            )
        except InvalidBreaker as error:
            raise SettingsError([f"breaker_{error.message}"]) from error

    def mass_loss_rules(self) -> MassLossRules:
        s = self.settings
        return MassLossRules(share=s.mass_loss_share, grace_ms=int(s.mass_loss_grace_s * 1000))

    def health_rules(self) -> HealthRules:
        s = self.settings
        every_ms = int(s.probe_every_s * 1000)
        return HealthRules(
            every_ms=every_ms,
            soon_ms=min(1000, every_ms),
            zombie_after_ms=int(s.zombie_after_s * 1000),
        )

    @asynccontextmanager
    async def dispatcher_ports(
        self, bus: EventBus, follower: Follower | None = None
    ) -> AsyncIterator[Ports]:
        """What a dispatcher on this event loop works with; closed at the end."""
        store = self.async_store()
        results = AsyncExecutor(connect_async(self.urls.result))
        waker = RedisWaker(self.urls.state)
        closers: list[Callable[[], Awaitable[None]]] = [store.close, results.close, waker.close]
        try:
            yield Ports(
                store=store,
                waker=waker,
                sink=RedisResultSink(results, int(self.settings.result_expires_s)),
                clock=SystemClock(),
                rng=random.Random(),
                driver_named=driver_named,
                cells=self.cells,
                registry=self.registry,
                bus=bus,
                follower=follower,
            )
        finally:
            for close in closers:
                await close()
