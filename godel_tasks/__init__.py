"""Godel: a fair multi-tenant task orchestrator on Celery and Redis, for fleets of AI agents.

from godel_tasks import submit_task

result = submit_task.delay("acme", {"message": "hello"}, priority="high")
print(result.get(timeout=60))
"""

from __future__ import annotations

from godel_tasks.celery import app, submit_task
from godel_tasks.errors import (
    AttemptUncertain,
    GodelError,
    InvalidTask,
    PayloadNotSerializable,
    PayloadTooLarge,
    QueueFull,
    ResultExpired,
    StoreUnavailable,
    SubmitError,
    TaskConflict,
    TaskError,
    TaskFailed,
    TaskNotFound,
    TaskTimedOut,
    TaskUnroutable,
    UnknownTenant,
    Unroutable,
)
from godel_tasks.policy.admission import TaskRequest
from godel_tasks.producers import cancel_task, submit_tasks
from godel_tasks.results import GodelResult
from godel_tasks.submission import Submission

__all__ = [
    "AttemptUncertain",
    "GodelError",
    "GodelResult",
    "InvalidTask",
    "PayloadNotSerializable",
    "PayloadTooLarge",
    "QueueFull",
    "ResultExpired",
    "StoreUnavailable",
    "Submission",
    "SubmitError",
    "TaskConflict",
    "TaskError",
    "TaskFailed",
    "TaskNotFound",
    "TaskRequest",
    "TaskTimedOut",
    "TaskUnroutable",
    "UnknownTenant",
    "Unroutable",
    "app",
    "cancel_task",
    "submit_task",
    "submit_tasks",
]
