"""InstanceRegistry: register, find, follow; and nothing that a stale process could write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from godel_tasks.domain.breaker import BreakerState
from godel_tasks.domain.instance import (
    Health,
    HealthEvent,
    InstanceConfig,
    InstanceMetrics,
    InstanceStatus,
)
from godel_tasks.domain.requirement import Requirement
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.errors import StaleWriter, UnknownTenant
from godel_tasks.fleet.registry import InstanceRegistry
from godel_tasks.policy.capabilities import capabilities_of
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.health import HealthCommands
from godel_tasks.worker import jobs


@pytest.fixture
def runtime(redis_url: str, tmp_path: Path):
    made = Runtime(load_settings(redis_url=redis_url, data_dir=tmp_path, instance_lease_ms=60_000))
    yield made
    made.store.close()


@pytest.fixture
async def registry(runtime: Runtime) -> AsyncIterator[InstanceRegistry]:
    async with InstanceRegistry.opened(runtime) as made:
        yield made


def config(name: str, *, capacity: int = 2, pool: str = "shared", region: str = "", **offers: str):
    return InstanceConfig(
        name, f"{name}:1", capacity=capacity, pool=pool, region=region, capabilities=offers
    )


def wanted(**capabilities: object) -> Requirement:
    return Requirement(capabilities=capabilities_of(capabilities))


def take(runtime: Runtime, name: str, count: int) -> None:
    runtime.store.run(
        runtime.registry.slots(instance_id=name, generation=1, dispatcher="d1", count=count)
    )


def note(runtime: Runtime, name: str, health: Health) -> None:
    fields = {"health": health.value, "health_reason": "for a test"}
    command = HealthCommands().note(instance_id=name, generation=1, memory="{}", fields=fields)
    assert runtime.store.run(command)


async def test_the_least_loaded_that_fits_is_the_best(
    runtime: Runtime, registry: InstanceRegistry
) -> None:
    # Given instances that offer different things
    for each in (
        config("a", gpu="yes", memory_gb="16"),
        config("b", gpu="yes", memory_gb="64"),
        config("c", gpu="yes", memory_gb="128", pool="acme"),
        config("d", capacity=8, region="eu"),
    ):
        assert await registry.register(each) == each.instance_id
    take(runtime, "a", 1)
    # Then the best is the least loaded of those that fit
    find = registry.find_best_instance
    assert await find(wanted(gpu="yes"), pool="shared") == "b"
    assert await find(wanted(memory_gb={">=": 32}), pool="shared") == "b"
    assert await find(wanted(memory_gb={">": 64})) == "c"
    assert await find(Requirement(region="eu")) == "d"
    assert await find(Requirement(instance_id="a")) == "a"
    assert await find(wanted(gpu="no")) is None
    # A full one, and a sick one, are none
    take(runtime, "b", 2)
    assert await find(wanted(gpu="yes"), pool="shared") == "a"
    note(runtime, "a", Health.UNHEALTHY)
    assert await find(wanted(gpu="yes"), pool="shared") is None
    # And a degraded one is better than none
    note(runtime, "a", Health.DEGRADED)
    assert await find(wanted(gpu="yes"), pool="shared") == "a"


async def test_the_best_is_where_routing_would_send_a_task(
    runtime: Runtime, registry: InstanceRegistry
) -> None:
    # Given two that fit, the idler one in the farther region
    await registry.register(config("near", region="eu", provider="acme"))
    await registry.register(config("far", region="us"))
    take(runtime, "near", 1)
    # Then a strategy that a requirement names is the one that counts
    assert await registry.find_best_instance() == "far"
    assert await registry.find_best_instance(Requirement(strategy="geo-aware=eu,us")) == "near"
    # And a breaker stands against its own instance, and against those behind which it is
    force = BreakerCommands().force
    runtime.store.run(force("instance:far", state=BreakerState.FORCED_OPEN, who="ops"))
    assert await registry.find_best_instance() == "near"
    runtime.store.run(force("provider:acme", state=BreakerState.FORCED_OPEN, who="ops"))
    assert await registry.find_best_instance() is None


async def test_a_tenant_has_the_healthy_ones_of_its_pools(
    runtime: Runtime, registry: InstanceRegistry
) -> None:
    cell = runtime.cell_of("acme")
    runtime.store.run(cell.tenants.put(TenantConfig("acme", pool="acme+shared")))
    for each in (config("a", pool="acme"), config("b"), config("c"), config("d", pool="other")):
        await registry.register(each)
    note(runtime, "b", Health.DEGRADED)
    healthy = await registry.get_healthy_instances("acme")
    assert [view.record.instance_id for view in healthy] == ["a", "c"]
    assert len(await registry.get_all_instances()) == 4
    sick = await registry.query(health=Health.DEGRADED)
    assert [view.record.instance_id for view in sick] == ["b"]
    with pytest.raises(UnknownTenant):
        await registry.get_healthy_instances("nobody")


async def test_a_stale_registration_is_told_so(
    runtime: Runtime, registry: InstanceRegistry
) -> None:
    # Given a process whose instance was registered again by another one
    await registry.register(config("a"))
    await registry.heartbeat("a", InstanceMetrics(cpu_usage=0.5))
    async with InstanceRegistry.opened(runtime) as newer:
        await newer.register(config("a", gpu="yes"))
        # Then it can neither live on nor take the other one out
        with pytest.raises(StaleWriter):
            await registry.heartbeat("a")
        await registry.deregister("a")
        with pytest.raises(StaleWriter):
            await registry.deregister("a")
        assert await registry.find_best_instance(wanted(gpu="yes")) == "a"
        # And one that leaves is gone, from the index, too
        await newer.deregister("a")
        assert await registry.query() == []


async def test_a_draining_one_is_found_only_by_who_asks_for_it(registry: InstanceRegistry) -> None:
    await registry.register(config("a"))
    await registry.heartbeat("a", draining=True)
    assert await registry.find_best_instance() is None
    draining = await registry.query(status=InstanceStatus.DRAINING)
    assert [view.record.instance_id for view in draining] == ["a"]


async def test_events_are_followed_from_now_or_from_one_of_them(registry: InstanceRegistry) -> None:
    await registry.register(config("a"))
    heard: list[HealthEvent] = []

    async def listen() -> None:
        async with aclosing(registry.monitor_health()) as events:
            async for event in events:
                heard.append(event)
                if event.event == "instance.deregistered":
                    return

    listening = asyncio.ensure_future(listen())
    await asyncio.sleep(0.05)
    await registry.register(config("b"))
    await registry.deregister("b")
    async with asyncio.timeout(10):
        await listening
    told = [(e.event, e.instance_id, e.generation) for e in heard]
    assert told == [("instance.registered", "b", 1), ("instance.deregistered", "b", 1)]
    assert heard[0].at_ms > 1_700_000_000_000
    # And whoever has seen the first one gets what came after it
    async with aclosing(registry.monitor_health(since=heard[0].event_id)) as events:
        assert (await anext(events)).event_id == heard[1].event_id
    async with aclosing(registry.monitor_health(since="0")) as events:
        assert (await anext(events)).instance_id == "a"


async def test_following_goes_on_after_redis_was_away(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    server.start()
    runtime = Runtime(load_settings(redis_url=server.url, data_dir=tmp_path))
    async with InstanceRegistry.opened(runtime) as registry:
        await registry.register(config("a"))
        async with aclosing(registry.monitor_health(since="0")) as events:
            assert (await anext(events)).instance_id == "a"
            # When Redis restarts while nobody says anything
            following = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.05)
            server.stop()
            server.start()
            await registry.register(config("b"))
            # Then what comes is heard
            async with asyncio.timeout(20):
                assert (await following).instance_id == "b"
    server.stop()


async def test_the_forget_job_repairs_the_index(
    runtime: Runtime, registry: InstanceRegistry
) -> None:
    # Given an instance that was killed between its hash and the registry, and lives on by another's
    # heartbeats
    await registry.register(config("a", gpu="yes"))
    runtime.store.run(runtime.registry.register(config("a", model="large")))
    assert await registry.query(wanted(model="large")) == []
    # When the job runs
    jobs.forget(runtime)
    # Then it is found by what it offers
    found = await registry.query(wanted(model="large"))
    assert [view.record.instance_id for view in found] == ["a"]
