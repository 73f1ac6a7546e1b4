"""Godel: a fair multi-tenant task orchestrator on Celery and Redis, for fleets of AI agents.

    from godel_tasks import submit_task

    result = submit_task.delay("acme", {"message": "hello"}, priority="high")
    print(result.get(timeout=60))

Names are imported when they are first used: an instance process or the `godel` command does not pay
for Celery.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from godel_tasks.breakers import CircuitBreaker, CircuitBreakerDelegate
    from godel_tasks.celery import app, submit_task
    from godel_tasks.domain.breaker import BreakerConfig
    from godel_tasks.errors import (
        AttemptUncertain,
        CircuitOpenError,
        GodelError,
        InvalidSession,
        InvalidTask,
        PayloadNotSerializable,
        PayloadTooLarge,
        QueueFull,
        ResultExpired,
        SessionEnded,
        SessionInstanceLost,
        StoreUnavailable,
        SubmitError,
        TaskConflict,
        TaskError,
        TaskFailed,
        TaskNotFound,
        TaskTimedOut,
        TaskUnroutable,
        UnknownSession,
        UnknownTenant,
        Unroutable,
    )
    from godel_tasks.fleet.registry import InstanceRegistry
    from godel_tasks.policy.admission import TaskRequest
    from godel_tasks.producers import (
        cancel_task,
        create_session,
        get_session,
        list_sessions,
        submit_tasks,
        terminate_session,
    )
    from godel_tasks.results import GodelResult
    from godel_tasks.submission import Submission

_HOMES = {
    "godel_tasks.breakers": (
        "CircuitBreaker",
        "CircuitBreakerDelegate",
    ),
    "godel_tasks.domain.breaker": ("BreakerConfig",),
    "godel_tasks.fleet.registry": ("InstanceRegistry",),
    "godel_tasks.celery": (
        "app",
        "submit_task",
    ),
    "godel_tasks.errors": (
        "AttemptUncertain",
        "CircuitOpenError",
        "GodelError",
        "InvalidSession",
        "InvalidTask",
        "PayloadNotSerializable",
        "PayloadTooLarge",
        "QueueFull",
        "ResultExpired",
        "SessionEnded",
        "SessionInstanceLost",
        "StoreUnavailable",
        "SubmitError",
        "TaskConflict",
        "TaskError",
        "TaskFailed",
        "TaskNotFound",
        "TaskTimedOut",
        "TaskUnroutable",
        "UnknownSession",
        "UnknownTenant",
        "Unroutable",
    ),
    "godel_tasks.policy.admission": ("TaskRequest",),
    "godel_tasks.producers": (
        "cancel_task",
        "create_session",
        "get_session",
        "list_sessions",
        "submit_tasks",
        "terminate_session",
    ),
    "godel_tasks.results": ("GodelResult",),
    "godel_tasks.submission": ("Submission",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})


__all__ = [
    "AttemptUncertain",
    "BreakerConfig",
    "CircuitBreaker",
    "CircuitBreakerDelegate",
    "CircuitOpenError",
    "GodelError",
    "GodelResult",
    "InstanceRegistry",
    "InvalidSession",
    "InvalidTask",
    "PayloadNotSerializable",
    "PayloadTooLarge",
    "QueueFull",
    "ResultExpired",
    "SessionEnded",
    "SessionInstanceLost",
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
    "UnknownSession",
    "UnknownTenant",
    "Unroutable",
    "app",
    "cancel_task",
    "create_session",
    "get_session",
    "list_sessions",
    "submit_task",
    "submit_tasks",
    "terminate_session",
]
