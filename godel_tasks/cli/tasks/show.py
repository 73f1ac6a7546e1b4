"""`godel tasks show`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from godel_tasks.cli.output import AsJson, answer, dollars, facts, moment, when
from godel_tasks.cli.session import opened
from godel_tasks.domain.task import TaskBody
from godel_tasks.views.tasks import TaskView, task_view

#: Characters of what a running task has said that people are shown: its end.
SAID = 200


def show(
    task_id: Annotated[str, typer.Argument(metavar="ID")],
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the payload too, while it is kept.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one task: where it is, what it waits for, how it ended."""
    with opened() as runtime:
        view = task_view(runtime, task_id)
    data = as_data(view, payload=payload)
    answer(as_json, data, facts({**_human(data), "next": _next(view)}))


def as_data(view: TaskView, *, payload: bool = False) -> dict[str, Any]:
    """The task as JSON shows it. What is not known is null."""
    record, ending = view.record, view.ending
    settled = ending.settled_at if ending is not None else ""
    data: dict[str, Any] = {
        "task_id": view.task_id,
        "state": view.state.value,
        "condition": view.condition or None,
        "condition_text": view.condition_text or None,
        "tenant": view.tenant_id,
        "class": view.class_id or None,
        "requirement": view.class_text or None,
        "level": view.level or None,
        "position": view.position,
        "attempts": view.attempts,
        "instance": view.instance_id or None,
        "dispatcher": view.dispatcher or None,
        "cancel_asked": view.cancel_asked,
        "retrying": view.retrying,
        "behind": view.behind or None,
        "session_note": view.session_note or None,
        "evidence": view.evidence or None,
        "said": view.said or None,
        "dead_letter": bool(view.buried_ms),
        "times": {
            "entered": when(moment(record.entry_ms)) if record else None,
            "start_by": when(moment(record.start_by_ms)) if record else None,
            "deadline": when(moment(record.deadline_ms)) if record else None,
            "due": when(moment(view.due_ms)),
            "claimed": when(moment(view.claimed_ms)),
            "buried": when(moment(view.buried_ms)),
            "settled": when(datetime.fromisoformat(settled)) if settled else None,
        },
        "task": _body(record.body, payload=payload) if record else None,
    }
    if ending is not None:
        data["run_ms"] = ending.run_ms or None
        data["usage"] = ending.usage
        data["result"] = ending.result
        data["error"] = (
            None
            if ending.ok
            else {"type": ending.error_type, "message": ending.error_message, "hint": None}
        )
        data["traceback"] = ending.traceback.strip() or None
    return data


def _body(body: TaskBody, *, payload: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "payload_bytes": len(body.payload),
        "encoding": body.encoding,
        "timeout_ms": body.timeout_ms or None,
        "max_attempts": body.max_attempts or None,
        "on_uncertain": body.on_uncertain or None,
        "session_id": body.session_id or None,
        "correlation_id": body.correlation_id or None,
        "headers": body.headers,
    }
    if payload:
        found["payload"] = (
            msgspec.json.decode(body.payload)
            if body.encoding == "json"
            else body.payload.decode("utf-8", "backslashreplace")
        )
    return found


def _human(data: dict[str, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in data.items():
        if name == "times":
            flat.update(value)
        elif name == "task":
            flat.update({k: _text(v) for k, v in (value or {}).items()})
        elif name == "usage" and value:
            flat.update(_usage(value))
        elif name == "error":
            flat[name] = f"{value['type']}: {value['message']}" if value else None
        elif name == "said" and value:
            flat["said so far"] = value if len(value) <= SAID else f"... {value[-SAID:]}"
        elif value is not False:
            flat[name] = _text(value)
    return {name.replace("_", " "): value for name, value in flat.items()}


def _usage(usage: dict[str, Any]) -> dict[str, object]:
    cached = usage["cache_read_tokens"] + usage["cache_write_tokens"]
    cached_too = f", {cached:,} cached" if cached else ""
    return {
        "tokens": f"{usage['input_tokens']:,} in, {usage['output_tokens']:,} out{cached_too}",
        "cost": dollars(usage["cost_usd"]),
        "model": usage["model"] or None,
    }


def _text(value: Any) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False) if value else None
    return "yes" if value is True else value


def _next(view: TaskView) -> str:
    """What a person can do about it, where there is something to do."""
    if view.buried_ms:
        return f"godel tasks replay {view.task_id}"
    if view.evidence:
        return f"godel tasks resolve {view.task_id} retry|fail|succeed"
    if view.condition:
        return "Start an instance that fits, or cancel it."
    return ""
