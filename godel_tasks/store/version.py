"""Which server this is, and whether it is new enough."""

from __future__ import annotations

from typing import Any

from godel_tasks.errors import StoreVersionError
from godel_tasks.store.command import Command, plain

#: Scripts need effects replication, `LT` of ZADD and multi-field commands.
OLDEST = (6, 2)


def server_version() -> Command[str]:
    """The server's version. Its decoder raises `StoreVersionError` when that is older than 6.2."""
    return plain("INFO", "server", decode=checked_version)


def checked_version(info: Any) -> str:
    """The version in an INFO reply, Valkey's own where there is one.

    Raises:
        StoreVersionError: older than 6.2.
    """
    fields = info if isinstance(info, dict) else {}
    version = str(fields.get("valkey_version") or fields.get("redis_version") or "0")
    parts = (version + ".0").split(".")
    if (int(parts[0]), int(parts[1])) < OLDEST:
        raise StoreVersionError(
            f"the server is version {version}; Godel needs Redis 6.2 or newer, or Valkey",
            hint="upgrade it, or unset GODEL_REDIS_URL to use the embedded one",
        )
    return version
