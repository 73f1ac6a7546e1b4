"""The sites of the contract, one after the other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.providers.every_site import SITES
from tests.providers.sites import ProviderSite


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
