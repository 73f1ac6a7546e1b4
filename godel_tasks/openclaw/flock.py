"""A lock on a file, for as long as its holder lives.

Whoever holds it may unlink the file, or the folder that it is in: those who wait see that what they
have locked is no longer what the path names, and begin anew.
"""

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
    fd = _taken(path)
    if fd is None:
        waiting()
    while fd is None:
        time.sleep(RETRY_S)
        fd = _taken(path)
    try:
        yield
    finally:
        os.close(fd)


@asynccontextmanager
async def locked_async(path: Path) -> AsyncIterator[None]:
    """`locked` on an event loop."""
    while True:  # the kernel tells nobody when a lock is free
        fd = _taken(path)
        if fd is not None:
            break
        await asyncio.sleep(RETRY_S)
    try:
        yield
    finally:
        os.close(fd)


def _taken(path: Path) -> int | None:
    """The locked file, or None when somebody else holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None
