"""Cancelling by id: durable, in whichever cell the task is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from godel_tasks.errors import TaskNotFound
from godel_tasks.store.queue import CancelReply

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

#: Ids that are cancelled in one round trip.
_BATCH = 200


def cancel_in_cells(
    runtime: Runtime, task_id: str, *, who: str, running_too: bool = True
) -> CancelReply:
    """Cancel a task: a waiting one is settled at once; a running one is stopped on its instance,
    and the stop confirmed there.

    Raises:
        TaskNotFound: no cell knows it.
    """
    found = cancel_many(runtime, [task_id], who=who, running_too=running_too)
    if task_id not in found:
        raise TaskNotFound(f"no task {task_id} is known", hint="look with `godel tasks list`")
    return found[task_id]


def cancel_many(
    runtime: Runtime, task_ids: Sequence[str], *, who: str, running_too: bool
) -> dict[str, CancelReply]:
    """Cancel those of `task_ids` that any cell knows, and say what was done with each. May be
    repeated.

    Raises:
        StoreUnavailable: Redis did not answer; some may be cancelled.
    """
    found: dict[str, CancelReply] = {}
    for first in range(0, len(task_ids), _BATCH):
        asked = [(i, cell) for i in task_ids[first : first + _BATCH] for cell in runtime.cells]
        replies: list[CancelReply] = runtime.store.pipeline(
            [cell.queue.cancel(task_id=i, who=who, running_too=running_too) for i, cell in asked]
        )
        for (task_id, _), reply in zip(asked, replies, strict=True):
            if reply.outcome != "unknown":
                found[task_id] = reply
    return found


def told(reply: CancelReply) -> str:
    """What cancel did, in words."""
    match reply.outcome:
        case "cancelled":
            return "cancelled before it ran"
        case "asked":
            return f"it runs; {reply.dispatcher} was told to stop it"
        case "running":
            return "it runs, and was left alone"
        case _:
            return f"it had ended already: {reply.state.value if reply.state else 'settled'}"
