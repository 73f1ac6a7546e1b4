"""`server.json`: how the other commands find the embedded server."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

FILE_NAME = "server.json"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A running embedded server.

    `url`, `broker_url`, `result_url` and `redbeat_url` lead to the same server in the spelling of
    redis-py, of Celery (twice) and of redbeat. `process_name` tells the server from a stranger that
    was given its `pid` later.
    """

    pid: int
    owner_pid: int
    process_name: str
    flavour: str  # "valkey" or "redis"
    version: str
    transport: str  # "unix" or "tcp"
    url: str
    broker_url: str
    result_url: str
    redbeat_url: str

    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.name() == self.process_name
        except psutil.Error:
            return False


def read_info(data_dir: Path) -> ServerInfo | None:
    """What `server.json` says; None if there is none, or none that we understand."""
    try:
        return ServerInfo(**json.loads((data_dir / FILE_NAME).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_info(data_dir: Path, info: ServerInfo) -> None:
    """Write `server.json` so that nobody ever reads half of it; it may hold a password (0600)."""
    temporary = data_dir / f".{FILE_NAME}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(asdict(info), file, indent=2)
    temporary.replace(data_dir / FILE_NAME)


def remove_info(data_dir: Path, pid: int) -> None:
    """Take `server.json` away if it is of the server with that pid."""
    info = read_info(data_dir)
    if info is not None and info.pid == pid:
        (data_dir / FILE_NAME).unlink(missing_ok=True)
