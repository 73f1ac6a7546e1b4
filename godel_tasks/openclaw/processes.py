"""The processes of one folder (a gateway's, a local instance's): which there are, how they end.

There is a main process and maybe helpers, some in sessions of their own. What is recorded is
the main process's pid and creation time, so that a stranger who was given the pid later is never
signalled; helpers, and a main process whose record was lost, are known by the folder's mark in
their environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import psutil
from psutil import Process

from godel_tasks.openclaw.folder import write_private

#: Seconds between two looks at processes that are to end.
POLL_S = 0.05
#: The clock may be set while a gateway runs, by a little; a pid does not come round so soon.
SAME_PROCESS_S = 1.0


class Owner(Protocol):
    """A folder whose processes are known."""

    @property
    def process(self) -> Path:
        """Where the main process is recorded."""
        ...

    @property
    def mark(self) -> tuple[str, str]:
        """A variable, and its value in the environment of every process of this folder."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """The main process, as `process.json` keeps it; `created_s` is on the system's clock."""

    pid: int
    created_s: float


def record(folder: Owner, pid: int) -> None:
    """Write down the main process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        write_private(folder.process, asdict(Recorded(pid, Process(pid).create_time())))


def forget(folder: Owner) -> None:
    """There is none any more."""
    folder.process.unlink(missing_ok=True)


def main_process(folder: Owner) -> Process | None:
    """The recorded process if that very one still runs."""
    try:
        recorded = Recorded(**json.loads(folder.process.read_bytes()))
        process = Process(recorded.pid)
        if abs(process.create_time() - recorded.created_s) <= SAME_PROCESS_S and running(process):
            return process
    except (OSError, ValueError, TypeError, psutil.Error):
        pass
    return None


def every_process(folder: Owner) -> list[Process]:
    """All that runs with this folder's mark in its environment."""
    name, value = folder.mark
    return marked_processes(name).get(value, [])


def marked_processes(name: str) -> dict[str, list[Process]]:
    """All that runs with this variable in its environment, by the variable's value."""
    found: dict[str, list[Process]] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            value = process.environ().get(name)
            if value is not None and running(process):
                found.setdefault(value, []).append(process)
    return found


def spawn(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, umask: int = -1
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one: in a session of its own, its output appended to a
    file. Raises: OSError."""
    fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(fd, "ab") as file:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=cwd,
            env=env,
            start_new_session=True,  # it outlives the command, and the terminal's Ctrl-C
            umask=umask,
        )
    # Waited for whenever it ends: it would stay a zombie for as long as this process lives.
    threading.Thread(target=child.wait, name=f"reap-{child.pid}", daemon=True).start()
    return child


def running(process: Process) -> bool:
    """Whether it does anything still: one that ended and was not waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    """Signal each; those that are gone are left out (psutil looks at the creation time)."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


async def gone(ran: Sequence[Process], timeout_s: float) -> list[Process]:
    """Wait for their end; those that are left after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = [process for process in ran if running(process)]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_S)


def memory_bytes(processes: Iterable[Process]) -> int:
    """Resident memory of them all; what they share counts more than once."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


__all__ = [
    "Process",
    "Recorded",
    "every_process",
    "forget",
    "gone",
    "main_process",
    "marked_processes",
    "memory_bytes",
    "record",
    "running",
    "send",
    "spawn",
]
