"""Threads for sync handlers: daemons, so that a handler that never returns cannot keep the process
from ending (`concurrent.futures` joins its threads at exit)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class ThreadPool:
    """Runs functions on at most `size` threads, made when they are needed.

    A function must not raise: whoever submits it catches.
    """

    def __init__(self, size: int, *, name: str = "godel-handler") -> None:
        self._size = size
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        #: Jobs that are queued or run.
        self._busy = 0
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._busy += 1
            needs_one = self._busy > self._threads and self._threads < self._size
            if needs_one:
                self._threads += 1
            number = self._threads
        if needs_one:
            name = f"{self._name}-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(job)

    def close(self) -> None:
        """Let idle threads end; does not wait for busy ones."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._busy -= 1
            del job  # do not keep the last payload alive while idle
