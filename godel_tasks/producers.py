"""What producers call beside `submit_task`, on the app of this package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from godel_tasks import sessions
from godel_tasks.cancelling import cancel_in_cells
from godel_tasks.celery import app
from godel_tasks.domain.session import Affinity, SessionStatus
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


def create_session(
    tenant_id: str,
    session_id: str = "",
    *,
    affinity: str = Affinity.SOFT,
    ttl_s: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> SessionStatus:
    """A session with terms of its own; one that exists already is answered as it is. Without an id
    it gets a new one.

    Raises:
        InvalidSession, UnknownTenant, SessionEnded
    """
    return sessions.create_session(
        app.godel, tenant_id, session_id, affinity=affinity, ttl_s=ttl_s, labels=labels
    )


def get_session(tenant_id: str, session_id: str) -> SessionStatus:
    """One session.

    Raises:
        UnknownSession: the tenant has none of that id, or nothing used it for its time to live.
    """
    return sessions.get_session(app.godel, tenant_id, session_id)


def list_sessions(tenant_id: str) -> Iterator[SessionStatus]:
    """A tenant's sessions, in no order."""
    return sessions.list_sessions(app.godel, tenant_id)


def terminate_session(
    tenant_id: str, session_id: str, *, who: str = "terminate_session", patience_s: float = 5.0
) -> sessions.SessionEnd:
    """End a session: what waits in it is cancelled, what runs is told to stop (and waited for, for
    `patience_s` at most), nothing new is taken until it is gone.

    Raises:
        UnknownSession
    """
    return sessions.terminate_session(
        app.godel, tenant_id, session_id, who=who, patience_s=patience_s
    )
