"""What producers call beside `submit_task`, on the app of this package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from godel_tasks.cancelling import cancel_in_cells
from godel_tasks.celery import app
from godel_tasks.policy.admission import TaskRequest
from godel_tasks.publishing import heard, submit_many_told
from godel_tasks.store.queue import CancelReply
from godel_tasks.submission import Submission, submit_many
from godel_tasks.tasks import SUBMIT_TASK


def submit_tasks(items: Iterable[TaskRequest | Mapping[str, Any]]) -> list[Submission]:
    """Submit many tasks, of one or several tenants: one round trip per few hundred.

    Each item is a dict of the same fields that `submit_task.delay` takes (or a `TaskRequest`).
    Answers an outcome per item, in order: `.ok`, `.task_id`, `.error`; a single bad item does not
    stop the others.

    Raises:
        StoreUnavailable: Redis did not answer; items before it are accepted.
    """
    if heard():
        return submit_many_told(app, SUBMIT_TASK, app.godel, items)
    return submit_many(app.godel, items)


def cancel_task(task_id: str, *, who: str = "cancel_task") -> CancelReply:
    """Cancel a task for good: a waiting one is settled at once, a running one is stopped on its
    instance. Survives restarts of whatever is in between.

    Raises:
        TaskNotFound: no such task is known.
    """
    return cancel_in_cells(app.godel, task_id, who=who)
