"""Fixtures that every test may ask for."""

from __future__ import annotations

from tests.fixtures_server import cluster_server, cluster_url, redis_url, server

__all__ = ["cluster_server", "cluster_url", "redis_url", "server"]
