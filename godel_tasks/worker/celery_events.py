"""Godel's events in the words of Celery's, as Flower and `celery events` know them. No I/O.

Each event says by itself what its task is, so that a monitor that comes late, or misses some, shows
it whole. No payload and no result is in them: arguments are the tenant, the instance, the attempt
and the session.
"""

from __future__ import annotations

from typing import Any

from godel_tasks.events import (
    AttemptEnded,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskRetried,
    TaskStarted,
)
from godel_tasks.tasks import SUBMIT_TASK

#: Who is said to have sent a task: producers do not tell who they are.
CLIENT = "producer"
#: Characters of a message, and of the end of a traceback, that monitors are shown.
MESSAGE_LIMIT = 1_000
TRACEBACK_LIMIT = 8_000

#: What a monitor is shown of a task before its end.
Claim = TaskClaimed | TaskAdopted
#: `type`, `uuid`, `timestamp` (seconds of wall time), and what Celery has for that type.
CeleryEvent = dict[str, Any]


def received(claim: Claim) -> list[CeleryEvent]:
    """Claimed, or taken over from another dispatcher. What it waited lies between sent and
    received."""
    about = _described(claim, claim)
    events = [_event("task-received", claim.task_id, claim.at_s, about)]
    if isinstance(claim, TaskClaimed) and claim.attempt == 1:
        sent_s = claim.at_s - claim.queued_s
        sent = _event("task-sent", claim.task_id, sent_s, about)
        events.insert(0, {**sent, "hostname": CLIENT})
    return events


def started(event: TaskStarted, claim: Claim | None) -> CeleryEvent:
    """Delivered to its instance."""
    return _event("task-started", event.task_id, event.at_s, _described(event, claim))


def retried(event: TaskRetried, claim: Claim | None) -> CeleryEvent:
    """Another attempt follows; `retries` counts it already."""
    exception = _error(event.error_type, event.error_message) or event.reason
    return {
        **_event("task-retried", event.task_id, event.at_s, _described(event, claim)),
        "retries": event.attempt,
        "exception": exception,
        "traceback": _end_of(event.traceback),
    }


def waits_again(event: AttemptEnded, claim: Claim | None) -> list[CeleryEvent]:
    """Handed back, or on hold for a person: no attempt follows yet, and none was spent.

    Celery has no event that leads back to PENDING. From RETRY, and only from there, sent does.
    """
    word = "on hold" if event.outcome == "held" else "handed back"
    back = {
        **_event("task-retried", event.task_id, event.at_s, _described(event, claim)),
        "exception": f"{word}: {event.reason}"[:MESSAGE_LIMIT],
    }
    return [back, {**back, "type": "task-sent", "hostname": CLIENT}]


def ended(event: TaskPublished, claim: Claim | None) -> list[CeleryEvent]:
    """Its end can be read. A task that was never claimed is received as it ends: Flower sorts its
    list by that time."""
    about = _described(event, claim)
    if not event.attempt and claim is None:
        return [_event("task-received", event.task_id, event.at_s, about), _end(event, about)]
    return [_end(event, about)]


def _end(event: TaskPublished, about: CeleryEvent) -> CeleryEvent:
    if event.state == "SUCCEEDED":
        return {
            **_event("task-succeeded", event.task_id, event.at_s, about),
            "runtime": event.run_s,
            "result": f"{len(event.result):,} bytes of JSON",
        }
    if event.state == "FAILED":
        return {
            **_event("task-failed", event.task_id, event.at_s, about),
            "runtime": event.run_s or None,
            "exception": _error(event.error_type, event.error_message),
            "traceback": _end_of(event.traceback),
        }
    return {
        **_event("task-revoked", event.task_id, event.at_s, about),
        # Who cancelled it, or that it came too late.
        "exception": _error("", event.error_message),
        "terminated": bool(event.instance_id),
        # No process gets a signal: the instance stops the attempt.
        "signum": None,
        "expired": event.state == "EXPIRED",
    }


def _described(
    event: Claim | TaskStarted | TaskRetried | AttemptEnded | TaskPublished, claim: Claim | None
) -> CeleryEvent:
    """What a task is, from its claim as far as that is known."""
    source = event if event.attempt or claim is None else claim
    kwargs: dict[str, object] = {"tenant": source.tenant_id}
    if source.attempt:
        kwargs |= {"instance": source.instance_id, "attempt": source.attempt}
    about: CeleryEvent = {}
    if claim is not None:
        if claim.session_id:
            kwargs["session"] = claim.session_id
        links = {"root_id": claim.root_id, "parent_id": claim.parent_id}
        about = {field: task_id for field, task_id in links.items() if task_id}
    return {
        **about,
        "name": SUBMIT_TASK,
        "args": repr((source.tenant_id,)),
        "kwargs": repr(kwargs),
        "retries": max(0, source.attempt - 1),
    }


def _event(kind: str, task_id: str, at_s: float, about: CeleryEvent) -> CeleryEvent:
    return {"type": kind, "uuid": task_id, "timestamp": at_s, **about}


def _error(error_type: str, message: str) -> str:
    """As Python prints it."""
    text = f"{error_type}: {message}" if error_type and message else error_type or message
    return text if len(text) <= MESSAGE_LIMIT else f"{text[:MESSAGE_LIMIT]} ..."


def _end_of(traceback: str) -> str | None:
    if not traceback:
        return None
    if len(traceback) <= TRACEBACK_LIMIT:
        return traceback
    return f"...\n{traceback[-TRACEBACK_LIMIT:]}"
