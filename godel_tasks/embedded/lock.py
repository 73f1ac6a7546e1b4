"""One server per data folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

import psutil

from godel_tasks.errors import StoreUnavailable

#: Seconds that the server of an owner who is gone gets to end before we give up.
ORPHAN_WAIT_S = 5.0


class DataFolderLock:
    """An exclusive lock on a data folder.

    The server inherits the descriptor, so the folder stays locked for as long as the owner *or* the
    server lives: two servers can never write the same append-only file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int | None:
        """The descriptor to hand to the server; None while not locked."""
        return self._fd

    def acquire(self) -> None:
        """Lock, or raise `StoreUnavailable` that says who holds the folder."""
        if self._fd is not None:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(fd, self._path)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Give the folder up; the lock ends when the server has ended too."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.close(fd)


def _lock(fd: int, path: Path) -> None:
    deadline = time.monotonic() + ORPHAN_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _living_owner(fd)
            # A dead owner's server is being ended by its guard; a living owner keeps it.
            if owner is not None or time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the data folder {path.parent} is in use by {owner or 'a server left alone'}",
                    hint="stop that one, or set GODEL_DATA_DIR to another folder",
                    retryable=False,
                ) from None
            time.sleep(0.02)
        else:
            return


def _living_owner(fd: int) -> str | None:
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    if not text.isdigit():  # locked this very moment, and not yet signed
        return "another process"
    try:
        return f"process {text} ({' '.join(psutil.Process(int(text)).cmdline()[:4])})"
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return f"process {text}"
