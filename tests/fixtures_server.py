"""Real servers for tests, one of each kind per test session (and per xdist worker)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from godel_tasks.embedded import EmbeddedServer
from tests.helpers import wait_until


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running embedded server; `server.url` is for redis-py, `server.urls` for the others."""
    with EmbeddedServer(tmp_path_factory.mktemp("server")) as embedded:
        yield embedded


@pytest.fixture(scope="session")
def cluster_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running server in cluster mode that owns all hash slots: it refuses a script whose keys lie
    in two slots."""
    data_dir = tmp_path_factory.mktemp("cluster")
    with EmbeddedServer(
        data_dir, transport="tcp", extra_args=("--cluster-enabled", "yes")
    ) as embedded:
        with redis.Redis.from_url(embedded.url, decode_responses=True) as client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            wait_until(
                lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok",
                description="the one-node cluster takes writes",
                timeout=10,
            )
        yield embedded


@pytest.fixture
def redis_url(server: EmbeddedServer) -> str:
    """The session's server, emptied, as redis-py spells it."""
    _empty(server.url)
    return server.url


@pytest.fixture
def cluster_url(cluster_server: EmbeddedServer) -> str:
    """The session's one-node cluster, emptied, as redis-py spells it."""
    _empty(cluster_server.url)
    return cluster_server.url


def _empty(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
