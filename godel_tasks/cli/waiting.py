"""Waiting for one task's end."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from godel_tasks.errors import TaskNotSettled
from godel_tasks.store.feed import ResultFeed
from godel_tasks.views.results import Ending, endings

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

#: Seconds between looks at the result itself, should its message be missed.
_LOOK_EVERY_S = 2.0


def wait_for(runtime: Runtime, task_id: str, timeout_s: float | None) -> Ending:
    """How the task ended.

    Raises:
        TaskNotSettled: not within `timeout_s` seconds (None: as long as it takes).
        StoreUnavailable
    """
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    with contextlib.closing(ResultFeed(runtime.urls.result)) as feed:
        feed.watch([task_id])
        while True:
            ending = endings(runtime, [task_id]).get(task_id)
            if ending is not None:
                return ending
            left = deadline - time.monotonic()
            if left <= 0:
                raise TaskNotSettled(
                    f"task {task_id} has not ended within {timeout_s:g} s",
                    hint=f"it goes on; look with `godel tasks show {task_id}`",
                )
            feed.read(min(left, _LOOK_EVERY_S))
