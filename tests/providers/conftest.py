"""The sites of the contract, one after the other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.providers.cluster import WAITS, provider_of
from tests.providers.every_site import SITES
from tests.providers.sites import ProviderSite
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import Behaviour, Workload


@pytest.fixture(params=SITES)
async def site(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ProviderSite]:
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GODEL_REDIS_URL", redis_url)
    made = SITES[request.param](tmp_path)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def cluster() -> AsyncIterator[KubernetesStub]:
    async with KubernetesStub() as stub:
        yield stub


@pytest.fixture
def provider(cluster: KubernetesStub) -> KubernetesProvider:
    return provider_of(cluster.url)


@pytest.fixture
def deployment(cluster: KubernetesStub) -> Workload:
    return cluster.apply("deployment", "gw", 0, WAITS)


@pytest.fixture
def statefulset(cluster: KubernetesStub) -> Workload:
    return cluster.apply("statefulset", "gw", 0, Behaviour())
