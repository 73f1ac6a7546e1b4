"""An instance stands still for a while, as one whose machine is out of memory: its lease ends, what
it ran goes on elsewhere, its breaker opens; and then it goes on as if nothing had been."""

from __future__ import annotations

import signal
import time

from godel_tasks.demo.display import InstanceRow, Snapshot
from godel_tasks.demo.house import House
from godel_tasks.demo.plan import FREEZE


class Freezer:
    """Stops one instance of the house's own, once, and lets it go on."""

    def __init__(self, house: House) -> None:
        self._house = house
        #: Which one stands still; "" for none.
        self.frozen = ""
        self._until = 0.0
        self._done = False

    def step(self, snapshot: Snapshot, tasks: int) -> str:
        """What happened just now, in words; "" for nothing."""
        if self.frozen:
            return self.thaw() if time.monotonic() >= self._until else ""
        if self._done or snapshot["settled"] < FREEZE.after_share * tasks:
            return ""
        busy = [row for row in snapshot["instances"] if _suits(row)]
        if not busy:
            return ""
        chosen = max(busy, key=lambda row: row["running"])
        self.frozen, self._done = chosen["id"], True
        self._until = time.monotonic() + FREEZE.seconds
        self._house.supervisor.signal(self.frozen, signal.SIGSTOP)
        return f"SIGSTOP of instance {self.frozen}, which runs {chosen['running']} tasks"

    def thaw(self) -> str:
        """Let it go on, if it stands still."""
        name, self.frozen = self.frozen, ""
        if not name:
            return ""
        self._house.supervisor.signal(name, signal.SIGCONT)
        return f"SIGCONT of instance {name}"


def _suits(row: InstanceRow) -> bool:
    return row["status"] == "up" and not row["made"] and row["running"] >= FREEZE.least_running
