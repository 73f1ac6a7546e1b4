"""A journal of executions, for checkers that must not trust Godel.

One JSON object a line: `{"id", "attempt", "instance", "at", "event"}`; `event` is "start" or "end"
(an end has `"end"` too, how it ended), `at` is milliseconds since the epoch. A start is written
before its handler runs, so it survives the death of the process; fsync (the death of the machine)
follows in groups.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from godel_tasks.clock import Clock
from godel_tasks.domain.attempt import Completion, Delivery

#: Shortest time between two fsyncs.
SYNC_EVERY_S = 0.01


class Journal:
    """Appends to one file; open from the start until `close`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._written = threading.Event()
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="godel-journal", daemon=True)
        self._syncer.start()

    def started(self, delivery: Delivery) -> None:
        self._write(self._line(delivery.task_id, delivery.attempt, delivery.instance_id, "start"))

    def ended(self, completion: Completion) -> None:
        task_id, attempt, instance = completion.task_id, completion.attempt, completion.instance_id
        line = self._line(task_id, attempt, instance, "end")
        line["end"] = completion.end.value
        self._write(line)

    def close(self) -> None:
        """Sync what was written; idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._written.set()
        self._syncer.join()
        os.close(self._file)

    def _line(self, task_id: str, attempt: int, instance: str, event: str) -> dict[str, Any]:
        at = self._clock.wall_ms()
        return {"id": task_id, "attempt": attempt, "instance": instance, "at": at, "event": event}

    def _write(self, line: dict[str, Any]) -> None:
        if not self._closing.is_set():
            os.write(self._file, self._encode(line) + b"\n")
            self._written.set()

    def _sync(self) -> None:
        while not self._closing.is_set():
            self._written.wait()
            self._written.clear()
            os.fsync(self._file)
            self._closing.wait(SYNC_EVERY_S)
        os.fsync(self._file)
