"""Cancelling by id: durable, in whichever cell the task is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from godel_tasks.errors import TaskNotFound
from godel_tasks.store.queue import CancelReply

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime


def cancel_in_cells(
    runtime: Runtime, task_id: str, *, who: str, running_too: bool = True
) -> CancelReply:
    """Cancel a task: a waiting one is settled at once; a running one is stopped on its instance,
    and the stop confirmed there.

    Raises:
        TaskNotFound: no cell knows it.
    """
    replies = runtime.store.pipeline(
        [
            cell.queue.cancel(task_id=task_id, who=who, running_too=running_too)
            for cell in runtime.cells
        ]
    )
    for reply in replies:
        if reply.outcome != "unknown":
            found: CancelReply = reply
            return found
    raise TaskNotFound(f"no task {task_id} is known", hint="look with `godel tasks list`")
