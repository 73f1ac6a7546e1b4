"""The configuration that the embedded server reads from its standard input."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

#: Longest socket path that Linux (107 bytes) and macOS (103) both take, with some to spare.
MAX_SOCKET_PATH_BYTES = 100
#: A cluster node also listens on its port + 10000, which must be a port too.
HIGHEST_PORT = 55535


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the server listens: a unix socket, or a port of the loopback with a password."""

    socket_path: Path | None = None
    port: int = 0
    password: str = ""

    @property
    def url(self) -> str:
        """In redis-py's spelling."""
        if self.socket_path is not None:
            return f"unix://{quote(str(self.socket_path))}?db=0"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def transport(self) -> str:
        """`unix` or `tcp`."""
        return "tcp" if self.socket_path is None else "unix"


def choose_listen(data_dir: Path, transport: str) -> Listen:
    """A unix socket in the data folder; a random port if `transport` is `tcp`, or if the path is
    longer than the kernel takes."""
    path = data_dir / "redis.sock"
    if transport == "tcp" or len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        return Listen(port=_free_port(), password=secrets.token_urlsafe(24))
    return Listen(socket_path=path)


def config_text(data_dir: Path, listen: Listen, extra_args: Sequence[str]) -> str:
    """The whole configuration; `extra_args` (`--name value ...`) come last, and so win."""
    lines = [
        f"dir {_quoted(data_dir)}",
        f"pidfile {_quoted(data_dir / 'server.pid')}",
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        # A busy queue appends 64 MB, the default, in seconds, and would rewrite again and again.
        "auto-aof-rewrite-min-size 512mb",
        # Above this a hash is a table; below it each look walks the whole list (default: 512).
        "hash-max-listpack-entries 128",
        'save ""',  # the append-only file is the one truth on disk
        "maxmemory-policy noeviction",  # an evicted task would be a lost task
        f"port {listen.port}",
    ]
    if listen.socket_path is None:
        lines += ["bind 127.0.0.1", f"requirepass {listen.password}"]
    else:
        lines += [f"unixsocket {_quoted(listen.socket_path)}", "unixsocketperm 700"]
    return "\n".join([*lines, *_extra_lines(extra_args)]) + "\n"


def _extra_lines(extra_args: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for word in extra_args:
        if word.startswith("--"):
            lines.append(word[2:])
        elif lines:
            lines[-1] += " " + _quoted(word)
        else:
            raise ValueError(f"extra_args start with a --name, not with {word!r}")
    return lines


def _quoted(value: str | Path) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= HIGHEST_PORT:
            return port
