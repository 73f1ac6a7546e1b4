"""Sampler: which tasks monitors are shown when there are too many to show all. No I/O."""

from __future__ import annotations

from zlib import crc32

#: Seconds over which the tasks are counted that the share is made from.
WINDOW_S = 1.0


class Sampler:
    """Shows every task up to `tasks_per_s`, and of more than that a share.

    The share is picked by task id, so that it is a fair one of each tenant and each batch, and so
    that dispatchers mostly pick the same tasks. Times are monotonic seconds. For one thread.
    """

    def __init__(self, tasks_per_s: float) -> None:
        self._tasks_per_s = tasks_per_s
        #: Of the tasks of now, those that are shown: 0 to 1.
        self.share = 1.0
        #: Tasks that were not shown, since the process began.
        self.hidden = 0
        self._began = 0.0
        self._seen = 0
        self._shown = 0

    def __repr__(self) -> str:
        return f"<Sampler shows {self.share:.0%}, {self.hidden} tasks were hidden>"

    def shows(self, task_id: str, now: float) -> bool:
        """Whether this task, which begins now, is shown. To be asked once per task."""
        if now - self._began >= WINDOW_S:
            self._begin_window(now)
        self._seen += 1
        # The second condition is for a flood, before its window is over and tells the share.
        if _place(task_id) < self.share and self._shown < self._tasks_per_s * WINDOW_S:
            self._shown += 1
            return True
        self.hidden += 1
        return False

    def _begin_window(self, now: float) -> None:
        per_s = self._seen / (now - self._began)
        self.share = min(1.0, self._tasks_per_s / per_s) if per_s else 1.0
        self._began, self._seen, self._shown = now, 0, 0


def _place(task_id: str) -> float:
    """Where an id lies between 0 and 1; the same in every process."""
    return crc32(task_id.encode()) / 2**32
