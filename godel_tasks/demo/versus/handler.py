"""The handler of both sides, and the journal that it writes.

Waits `payload["pause_s"]` seconds, as for a model, and does about 2 ms of real work. Knows neither
Celery nor Godel. At its start and its end it appends a line `{key, event, at, pid}` (milliseconds
since the epoch) to `runs-<pid>.jsonl` in the folder VERSUS_JOURNALS: what was written stays when
the process is killed.
"""

from __future__ import annotations

import functools
import json
import os
import time
from pathlib import Path
from typing import Any

from godel_tasks.demo.handler import summarise

#: Names the folder of the journals.
JOURNALS = "VERSUS_JOURNALS"

TEXT = (
    "A task queue keeps what it was given until somebody has done it. When many tenants share one "
    "fleet of workers, the order in which tasks are taken decides who waits. A queue that serves "
    "whoever came first lets one large batch stand in front of every small request that arrives "
    "after it. A fair queue takes turns."
)


def answer(payload: dict[str, Any]) -> dict[str, Any]:
    """Summarise `TEXT`; `payload` is `{"key": str, "pause_s": float}`."""
    _note(payload["key"], "start")
    summary = summarise({"text": TEXT, "pause_s": payload["pause_s"]})
    _note(payload["key"], "end")
    return {"summary": summary["summary"]}


def _note(key: str, event: str) -> None:
    pid = os.getpid()
    line = {"key": key, "event": event, "at": time.time_ns() // 1_000_000, "pid": pid}
    # One write to the end of the file: lines of several threads do not mix.
    os.write(_journal(pid), (json.dumps(line, separators=(",", ":")) + "\n").encode())


@functools.cache
def _journal(pid: int) -> int:
    """A file of this process's own: a forked child opens another one."""
    path = Path(os.environ[JOURNALS]) / f"runs-{pid}.jsonl"
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
