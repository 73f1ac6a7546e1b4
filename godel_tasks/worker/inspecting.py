"""`inspect`, for dispatch: what Celery's own commands know of is a worker's messages, and Godel's
tasks are none.

Celery's answers stay, for the messages that a worker has (control jobs); attempts are added to them
in the same shape. No payload is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from godel_tasks.dispatch.view import AttemptView, DispatchView, MemberView
from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.task import CELERY_PRIORITY_STEPS, TERMINAL_STATES, Level
from godel_tasks.worker.remote import Remote

TASK_NAME = "godel_tasks.submit_task"

#: Celery's own: this module is imported before anything takes their place.
_CELERYS = {name: Panel.data[name] for name in ("active", "reserved", "query_task")}


def active(remote: Remote, state: Any, safe: bool = False, **kwargs: Any) -> list[dict[str, Any]]:
    """Attempts in flight: sent to their instance, or taken over from a dead dispatcher."""
    view = remote.view()
    attempts = view.running if view else ()
    return [*_CELERYS["active"](state, safe=safe, **kwargs), *_infos(state, attempts, safe=safe)]


def reserved(remote: Remote, state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """Tasks that are claimed, and not sent yet."""
    view = remote.view()
    attempts = view.unsent if view else ()
    return [*_CELERYS["reserved"](state, **kwargs), *_infos(state, attempts)]


def query_task(remote: Remote, state: Any, ids: Any, **kwargs: Any) -> dict[str, Any]:
    """Those of `ids` that this worker has, each with "active" or "reserved". Tasks that wait
    belong to no worker."""
    wanted = set(map(str, maybe_list(ids) or ()))
    found: dict[str, Any] = _CELERYS["query_task"](state, ids=ids, **kwargs)
    view = remote.view()
    for attempt in view.attempts if view else ():
        if attempt.task_id in wanted:
            kind = "active" if attempt.may_run else "reserved"
            found[attempt.task_id] = (kind, info(attempt, state.hostname))
    return found


def godel_instances(remote: Remote, state: Any, **_: Any) -> dict[str, Any]:  # noqa: ARG001
    """The fleet as this worker's dispatcher sees it, by instance; empty without a dispatcher."""
    view = remote.view()
    return {m.record.instance_id: _member(m) for m in view.members} if view else {}


def _infos(
    state: Any, attempts: Iterable[AttemptView], *, safe: bool = False
) -> list[dict[str, Any]]:
    return [info(attempt, state.hostname, safe=safe) for attempt in attempts]


def info(attempt: AttemptView, hostname: str, *, safe: bool = False) -> dict[str, Any]:
    """An attempt as Celery shows a request. With `safe`, arguments are texts."""
    args = [attempt.tenant_id]
    kwargs = {
        "tenant": attempt.tenant_id,
        "instance": attempt.instance_id,
        "attempt": attempt.attempt,
    }
    level = Level(attempt.level)
    return {
        "id": attempt.task_id,
        "name": TASK_NAME,
        "type": TASK_NAME,
        "args": repr(tuple(args)) if safe else args,
        "kwargs": repr(kwargs) if safe else kwargs,
        "hostname": hostname,
        "time_start": attempt.sent_at_s or None,
        # It is done with when it is settled, and then no longer here.
        "acknowledged": False,
        "delivery_info": {
            "exchange": "",
            "routing_key": attempt.instance_id,
            "priority": CELERY_PRIORITY_STEPS[level],
            "redelivered": attempt.attempt > 1,
            "endpoint": attempt.endpoint,
            "level": level.name.lower(),
            "cancel_asked": attempt.cancel_asked,
        },
        "worker_pid": os.getpid(),
    }


def _member(member: MemberView) -> dict[str, Any]:
    config = member.record.config
    return {
        "status": member.record.status.value,
        "endpoint": config.endpoint,
        "connected": member.connected,
        "capacity": config.capacity,
        "slots_used": member.used,
        "in_flight_here": member.mine,
        "breaker": member.breaker,
        "region": config.region,
        "pool": config.pool,
        "capabilities": config.capabilities,
    }


def settled(view: DispatchView) -> int:
    """Tasks that this dispatcher brought to an end."""
    return sum(view.counts.get(state.value.lower(), 0) for state in TERMINAL_STATES)


def stats_of(view: DispatchView) -> dict[str, Any]:
    """A dispatcher's part of `inspect stats`."""
    up = [m for m in view.members if m.record.status is InstanceStatus.UP]
    return {
        "dispatcher": view.name,
        "state": view.state,
        "in_flight": len(view.running),
        "claimed": len(view.unsent),
        "waiting_known": view.waiting,
        "unroutable": dict(view.unroutable),
        "counts": dict(view.counts),
        "instances": {"registered": len(view.members), "up": len(up)},
        "slots": {
            "capacity": sum(m.record.config.capacity for m in up),
            "used": sum(m.used for m in up),
            "mine": sum(m.mine for m in up),
        },
    }
