"""The processes of one gateway: which there are, and how they end.

A gateway is a main process and helpers, one of them in a session of its own. What is recorded is
the main process's pid and creation time, so that a stranger who was given the pid later is never
signalled; helpers, and a main process whose record was lost, are known by the state folder in their
environment.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import psutil

from godel_tasks.openclaw.folder import Folder, write_private

#: The clock may be set while a gateway runs, by a little; a pid does not come round so soon.
SAME_PROCESS_S = 1.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """The main process, as `process.json` keeps it; `created_s` is on the system's clock."""

    pid: int
    created_s: float


def record(folder: Folder, pid: int) -> None:
    """Write down the main process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        write_private(folder.process, asdict(Recorded(pid, psutil.Process(pid).create_time())))


def forget(folder: Folder) -> None:
    """There is none any more."""
    folder.process.unlink(missing_ok=True)


def main_process(folder: Folder) -> psutil.Process | None:
    """The recorded process if that very one still runs."""
    try:
        recorded = Recorded(**json.loads(folder.process.read_bytes()))
        process = psutil.Process(recorded.pid)
        if abs(process.create_time() - recorded.created_s) <= SAME_PROCESS_S and running(process):
            return process
    except (OSError, ValueError, TypeError, psutil.Error):
        pass
    return None


def every_process(folder: Folder) -> list[psutil.Process]:
    """All that runs with this gateway's state folder in its environment."""
    state, found = str(folder.state), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(folder.MARK) == state and running(process):
                found.append(process)
    return found


def running(process: psutil.Process) -> bool:
    """Whether it does anything still: one that ended and was not waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Signal each; those that are gone are left out (psutil looks at the creation time)."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def memory_bytes(processes: Iterable[psutil.Process]) -> int:
    """Resident memory of them all; what they share counts more than once."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total
