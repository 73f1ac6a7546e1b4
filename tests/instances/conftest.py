"""Fixtures for stories about instances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.instances.gateway_sites import FakeGatewaySite
from tests.instances.sites import HANDLER_SITES, HandlerSite, Site

SITES: dict[str, Callable[[], Site]] = {**HANDLER_SITES, "openclaw": FakeGatewaySite}


@pytest.fixture(params=sorted(SITES))
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An endpoint, once for each driver."""
    made = SITES[request.param]()
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=sorted(HANDLER_SITES))
async def handler_site(request: pytest.FixtureRequest) -> AsyncIterator[HandlerSite]:
    """An endpoint with two instances that run a handler of ours, once for each driver."""
    made = HANDLER_SITES[request.param]()
    await made.open()
    yield made
    await made.close()
