"""Sessions of tenants: made, looked at, listed, ended.

A task names its session; the cell keeps the session's tasks in order and remembers the instance.
Nothing has to be made beforehand, unless a session is to have terms of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from godel_tasks.domain.session import Affinity, SessionStatus, session_name
from godel_tasks.errors import GodelError, SessionEnded, UnknownSession, UnknownTenant
from godel_tasks.instances.drivers import driver_named
from godel_tasks.policy.sessions import check_session
from godel_tasks.store.sessions import EndReply, status_of
from godel_tasks.views.instances import instance_named

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

#: Tasks that one script cancels.
_BATCH = 200
#: Seconds between looks whether the running task has stopped.
_LOOK_S = 0.1
#: Sessions whose fields are read in one round trip.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What `terminate_session` did. `running`: its task has not stopped yet; the session is gone
    once it has. `on_instance`: "ended", "" (it was on none), or why it could not be ended there."""

    cancelled: int
    running: bool
    instance_id: str = ""
    on_instance: str = ""


def create_session(
    runtime: Runtime,
    tenant_id: str,
    session_id: str = "",
    *,
    affinity: str = Affinity.SOFT,
    ttl_s: float | None = None,
    labels: Mapping[str, str] | None = None,
) -> SessionStatus:
    """A session with terms of its own; one that exists already is answered as it is. Without an id
    it gets a new one. It gets its instance when its first task runs.

    Raises:
        InvalidSession: what is wrong, and what was expected.
        UnknownTenant
        SessionEnded: one of that id is being ended.
    """
    session_id = session_id or str(uuid4())
    lifetime_s = runtime.settings.session_ttl_s if ttl_s is None else ttl_s
    chosen = check_session(session_id, affinity, lifetime_s, labels or {})
    made = runtime.store.run(
        runtime.cell_of(tenant_id).sessions.open(
            tenant_id=tenant_id,
            session_id=session_id,
            affinity=chosen,
            ttl_ms=max(1, int(lifetime_s * 1000)),
            labels=labels or {},
        )
    )
    if made == "unknown":
        raise UnknownTenant(
            f"no tenant is called {tenant_id!r}",
            hint=f"create it with `godel tenants add {tenant_id}`",
        )
    if made == "ended":
        raise SessionEnded(
            f"session {session_id!r} is being ended",
            hint="wait until its running task has stopped, or name another session",
        )
    return get_session(runtime, tenant_id, session_id)


def get_session(runtime: Runtime, tenant_id: str, session_id: str) -> SessionStatus:
    """One session.

    Raises:
        UnknownSession: the tenant has none of that id, or nothing used it for its time to live.
    """
    name = session_name(tenant_id, session_id)
    sessions = runtime.cell_of(tenant_id).sessions
    status = status_of(name, runtime.store.pipeline(sessions.fields(name)))
    if status is None:
        raise UnknownSession(
            f"tenant {tenant_id!r} has no session {session_id!r}",
            hint=f"look with `godel sessions list {tenant_id}`",
        )
    return status


def list_sessions(runtime: Runtime, tenant_id: str = "") -> Iterator[SessionStatus]:
    """A tenant's sessions, or everybody's, in no order; those that come and go meanwhile may be
    left out."""
    for cell in runtime.cells:
        seen: set[str] = set()
        cursor = 0
        while True:
            cursor, page = runtime.store.run(
                cell.sessions.names(tenant_id=tenant_id, cursor=cursor)
            )
            names = [name for name in dict.fromkeys(page) if name not in seen]
            seen.update(names)
            for first in range(0, len(names), _PAGE):
                part = names[first : first + _PAGE]
                replies = runtime.store.pipeline(
                    [command for name in part for command in cell.sessions.fields(name)]
                )
                for i, name in enumerate(part):
                    status = status_of(name, replies[3 * i : 3 * i + 3])
                    if status is not None:
                        yield status
            if cursor == 0:
                break


def terminate_session(
    runtime: Runtime,
    tenant_id: str,
    session_id: str,
    *,
    who: str = "terminate_session",
    patience_s: float = 5.0,
) -> SessionEnd:
    """End a session: what waits in it is cancelled, what runs is told to stop, nothing new is taken
    until it is gone; and its instance forgets it, where the driver can do that. Waits for at most
    `patience_s` for the running task. May be repeated.

    Raises:
        UnknownSession
        StoreUnavailable: no answer; dispatchers finish what was begun.
    """
    name = session_name(tenant_id, session_id)
    sessions = runtime.cell_of(tenant_id).sessions

    def end() -> EndReply:
        return runtime.store.run(sessions.end(name=name, who=who, limit=_BATCH))

    reply = end()
    if not reply.known:
        get_session(runtime, tenant_id, session_id)  # raises
    cancelled, instance_id = reply.cancelled, reply.instance_id
    give_up_at = time.monotonic() + patience_s
    while reply.known and reply.left:
        if not reply.cancelled:
            if time.monotonic() >= give_up_at:
                break
            time.sleep(_LOOK_S)
        reply = end()
        cancelled += reply.cancelled
    on_instance = _end_on_instance(runtime, instance_id, tenant_id, session_id)
    return SessionEnd(cancelled, reply.known and reply.left > 0, instance_id, on_instance)


def _end_on_instance(runtime: Runtime, instance_id: str, tenant_id: str, session_id: str) -> str:
    if not instance_id:
        return ""

    async def end() -> None:
        config = instance_named(runtime, instance_id).config
        instance = driver_named(config.driver).instance(config)
        try:
            await instance.forget_session(tenant_id, session_id)
        finally:
            await instance.aclose()

    try:
        # On a thread of its own: the caller may be on an event loop itself.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(end())).result()
    except GodelError as error:
        return error.message
    return "ended"
