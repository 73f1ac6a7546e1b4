"""The sites of the contract, one after the other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.providers.pod_sites import DeploymentSite, StatefulSetSite
from tests.providers.sites import DockerSite, GatewaySite, LocalSite, ProviderSite

SITES: dict[str, type[ProviderSite]] = {
    "process-grpc": LocalSite,
    "process-openclaw": GatewaySite,
    "docker": DockerSite,
    "kubernetes-deployment": DeploymentSite,
    "kubernetes-statefulset": StatefulSetSite,
}


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
