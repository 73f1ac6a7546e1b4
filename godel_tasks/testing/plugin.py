"""The pytest plugin: fixtures `godel` (offline) and `godel_worker` (end to end).

pytest imports this file in every run of everybody who has Godel installed, so it imports nothing
until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from godel_tasks.embedded import EmbeddedServer
    from godel_tasks.testing.godel_live import LiveGodel
    from godel_tasks.testing.godel_offline import OfflineGodel


@pytest.fixture
def godel_settings() -> dict[str, Any]:
    """Settings of Godel's for `godel` and `godel_worker`, by name: override it to change some."""
    return {}


@pytest.fixture
def godel(godel_settings: dict[str, Any]) -> Iterator[OfflineGodel]:
    """Godel offline: `submit_task.delay()` runs the real scripts, on fakeredis. Nothing runs the
    tasks: look at them, and settle them yourself."""
    from godel_tasks.testing.godel_offline import offline

    with offline(**godel_settings) as found:
        yield found


@pytest.fixture(scope="session")
def godel_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The embedded server that the tests of `godel_worker` share; it is emptied for each."""
    from godel_tasks.embedded import EmbeddedServer

    with EmbeddedServer(tmp_path_factory.mktemp("godel")) as server:
        yield server


@pytest.fixture
def godel_worker(
    godel_server: EmbeddedServer, godel_settings: dict[str, Any]
) -> Iterator[LiveGodel]:
    """A dispatcher on an embedded server. Call it with a handler to add an instance:
    `godel_worker(handler, tenants=["acme"])`."""
    from godel_tasks.testing.godel_live import live

    with live(godel_server, **godel_settings) as found:
        yield found
