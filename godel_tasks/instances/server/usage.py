"""What this process uses of the machine."""

from __future__ import annotations

import os

import psutil

from godel_tasks.clock import Clock

#: Shortest span that processor use is measured over.
SPAN_S = 0.5


class ProcessUsage:
    """This process's shares of the machine, 0-1; None where the system does not tell."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process = psutil.Process(os.getpid())
        self._cpus = psutil.cpu_count() or 1
        self._process.cpu_percent()  # the first call only sets the mark to measure from
        self._measured_at = clock.monotonic()
        self._shares: tuple[float | None, float | None] = (None, None)

    def __call__(self) -> tuple[float | None, float | None]:
        now = self._clock.monotonic()
        if now - self._measured_at >= SPAN_S:
            self._measured_at = now
            try:
                cpu = self._process.cpu_percent() / 100 / self._cpus
                memory = self._process.memory_percent() / 100
                self._shares = min(cpu, 1.0), min(memory, 1.0)
            except psutil.Error:
                self._shares = None, None
        return self._shares
