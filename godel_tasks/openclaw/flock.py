"""A lock on a file, for as long as its holder lives."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

#: Seconds between two tries.
RETRY_S = 0.05


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock; `waiting` is called once when somebody else holds it."""
    fd = _open(path)
    try:
        if not _taken(fd):
            waiting()
            while not _taken(fd):
                time.sleep(RETRY_S)
        yield
    finally:
        os.close(fd)


@asynccontextmanager
async def locked_async(path: Path) -> AsyncIterator[None]:
    """`locked` on an event loop."""
    fd = _open(path)
    try:
        while True:  # the kernel tells nobody when a lock is free
            if _taken(fd):
                break
            await asyncio.sleep(RETRY_S)
        yield
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
