"""The server that Godel brings along: found, started, ended, and found again by other commands."""

from godel_tasks.embedded.binary import find_server_binary
from godel_tasks.embedded.guard import Guard
from godel_tasks.embedded.info import ServerInfo, read_info
from godel_tasks.embedded.server import EmbeddedServer
from godel_tasks.embedded.urls import (
    ServerUrls,
    for_celery,
    for_redis,
    masked,
    needs_embedded,
    resolve_urls,
)

__all__ = [
    "EmbeddedServer",
    "Guard",
    "ServerInfo",
    "ServerUrls",
    "find_server_binary",
    "for_celery",
    "for_redis",
    "masked",
    "needs_embedded",
    "read_info",
    "resolve_urls",
]
