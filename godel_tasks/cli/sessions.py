"""`godel sessions`: conversations that tasks belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.output import AsJson, answer, counted, facts, moment, span, table, when
from godel_tasks.cli.session import opened

if TYPE_CHECKING:
    from godel_tasks.domain.session import SessionStatus
    from godel_tasks.sessions import SessionEnd

sessions = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, show and end sessions of tenants."
)

Tenant = Annotated[str, typer.Argument(metavar="TENANT")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION")]


@sessions.command("list")
def list_sessions(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Only of this tenant.")] = "",
    as_json: AsJson = False,
) -> None:
    """List sessions, the one that was used last first."""
    from godel_tasks import sessions as of_tenants

    with opened() as runtime:
        found = sorted(of_tenants.list_sessions(runtime, tenant), key=lambda s: -s.used_ms)
    rows = [
        (
            s.tenant_id,
            s.session_id,
            s.instance_id or "",
            s.affinity.value,
            s.unsettled,
            s.moves or "",
            when(moment(s.used_ms)) or "",
        )
        for s in found
    ]
    columns = ("tenant", "session", "instance", "affinity", "tasks>", "moves>", "used")
    answer(
        as_json,
        {"sessions": [as_data(status) for status in found]},
        table(*columns, rows=rows) if rows else "",
        counted(len(rows), "session") + "." if rows else "There are none.",
    )


@sessions.command()
def show(tenant: Tenant, session: SessionId, as_json: AsJson = False) -> None:
    """Show one session: where it is, what it is at, whether it was moved."""
    from godel_tasks.sessions import get_session

    with opened() as runtime:
        status = get_session(runtime, tenant, session)
    data = as_data(status)
    shown = {name.replace("_", " "): value for name, value in data.items() if name != "labels"}
    shown["ttl"] = span(status.ttl_ms)
    del shown["ttl s"]
    shown["labels"] = ", ".join(f"{k}={v}" for k, v in sorted(status.labels.items()))
    answer(as_json, data, facts(shown))


@sessions.command()
def terminate(
    tenant: Tenant,
    session: SessionId,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Longest wait for its running task.")
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """End a session: cancel what waits in it, stop what runs, and let its instance forget it."""
    from godel_tasks.sessions import terminate_session

    with opened() as runtime:
        end = terminate_session(runtime, tenant, session, who="godel", patience_s=patience)
    data = {
        "tenant": tenant,
        "session_id": session,
        "cancelled": end.cancelled,
        "running": end.running,
        "instance": end.instance_id or None,
        "on_instance": end.on_instance or None,
    }
    answer(as_json, data, _told(end))


def as_data(status: SessionStatus) -> dict[str, Any]:
    """A session as JSON shows it. What is not known is null."""
    return {
        "tenant": status.tenant_id,
        "session_id": status.session_id,
        "affinity": status.affinity.value,
        "instance": status.instance_id or None,
        "head": status.head or None,
        "waiting": status.waiting,
        "unsettled": status.unsettled,
        "ending": status.ending,
        "created": when(moment(status.created_ms)),
        "used": when(moment(status.used_ms)),
        "ttl_s": status.ttl_ms / 1000,
        "moves": status.moves,
        "moved_from": status.moved_from or None,
        "moved": when(moment(status.moved_ms)),
        "moved_why": status.moved_why or None,
        "labels": status.labels,
    }


def _told(end: SessionEnd) -> str:
    parts = [f"{counted(end.cancelled, 'task')} cancelled."]
    if end.running:
        parts.append("One still runs; the session is gone once it has stopped.")
    if end.on_instance == "ended":
        parts.append(f"{end.instance_id} has forgotten it.")
    elif end.on_instance:
        parts.append(f"{end.instance_id} may still know it: {end.on_instance}.")
    return " ".join(parts)
