"""A file of JSON lines that survives the death of its writer, and of the machine.

Lines are written at once, and fsynced in groups: everything that was written while the disk was
busy goes down with the next fsync. `append` does not wait for it, `commit` does.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Shortest time between two fsyncs: what a kill of the machine may cost of what was not committed.
SYNC_EVERY_S = 0.01


class Journal:
    """Appends to one file, from many threads; open from the start until `close`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._changed = threading.Condition()
        self._written = 0
        self._synced = 0
        self._closing = False
        self._wake = threading.Event()
        self._syncer = threading.Thread(target=self._sync, name="demo-journal", daemon=True)
        self._syncer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, *records: Mapping[str, Any]) -> None:
        """Write these lines, in this order, with no other's between them."""
        self.extend(records)

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """`append` of many."""
        lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        if not lines:
            return
        with self._changed:
            if self._closing:
                raise ValueError("the journal is closed")
            _write_all(self._file, lines.encode())
            self._written += 1
        self._wake.set()

    def commit(self) -> None:
        """Come back when everything that was appended before is on the disk."""
        with self._changed:
            mine = self._written
            self._changed.wait_for(lambda: self._synced >= mine)

    def close(self) -> None:
        """Commit and close; idempotent."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
        self._wake.set()
        self._syncer.join()
        os.close(self._file)

    def _sync(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._changed:
                upto, last = self._written, self._closing
            os.fsync(self._file)
            with self._changed:
                self._synced = upto
                self._changed.notify_all()
            if last:
                return
            time.sleep(SYNC_EVERY_S)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
