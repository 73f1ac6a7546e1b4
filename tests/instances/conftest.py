"""Fixtures for stories about instances."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.instances.sites import SITES, Site


@pytest.fixture(params=sorted(SITES))
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """An endpoint with two instances, once for each driver."""
    made: Site = SITES[request.param]()
    await made.open()
    yield made
    await made.close()
