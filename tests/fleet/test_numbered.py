"""Instances of a provider that names them itself: a StatefulSet, over the stub of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from kubernetes_asyncio.client import Configuration

from godel_tasks.domain.pool import InstanceTemplate, PoolConfig, Wanted
from godel_tasks.errors import Unsupported
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.instances.pods.waiting import Pace
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from godel_tasks.store.pools import PoolCommands
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.fleet.conftest import House
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import NAMESPACE, Behaviour


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGateway]:
    """What answers in every pod."""
    monkeypatch.setenv("PODS_TOKEN", "t-0123456789")
    async with FakeGateway(token="t-0123456789") as gateway:
        yield gateway


@pytest.fixture
async def cluster() -> AsyncIterator[KubernetesStub]:
    async with KubernetesStub() as stub:
        stub.apply("statefulset", "gw", 0, Behaviour())
        yield stub


@pytest.fixture
async def manager(house: House, cluster: KubernetesStub, gateway: FakeGateway) -> InstanceManager:
    async def configure() -> Configuration:
        return Configuration(host=cluster.url)

    def provider(name: str) -> Provider:
        assert name == "kubernetes"
        return KubernetesProvider(NAMESPACE, configure=configure, pace=Pace(poll_s=0.02))

    options = {
        "workload": "statefulset/gw",
        "endpoint": gateway.url,
        "credentials": "env:PODS_TOKEN",
    }
    template = InstanceTemplate("agents", "kubernetes", "openclaw", options=options)
    assert await house.store.run(PoolCommands().put_pool(PoolConfig("agents", template), before=""))
    return InstanceManager(house.store, providers=provider)


async def test_they_are_written_down_by_the_names_that_they_get(
    manager: InstanceManager, cluster: KubernetesStub
) -> None:
    # When several are made at once
    names = await asyncio.gather(*(manager.spawn("agents") for _ in range(3)))
    # Then each has a number of its own, and is known by it everywhere
    assert sorted(names) == ["gw-0", "gw-1", "gw-2"]
    assert {one.instance_id for one in await manager.instances("agents")} == set(names)
    assert cluster.workloads["statefulset", "gw"].replicas == 3
    # When one is to go that cannot go yet
    with pytest.raises(Unsupported, match="which is gw-2"):
        await manager.remove("gw-0")
    # Then it is as it was
    stored = await manager.records.made("gw-0")
    assert stored is not None
    assert stored.value.wanted is Wanted.UP
    # And from the end all of them go
    for name in ("gw-2", "gw-1", "gw-0"):
        await manager.remove(name)
    assert await manager.instances("agents") == []
    assert cluster.workloads["statefulset", "gw"].replicas == 0
