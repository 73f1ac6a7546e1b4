"""Sent: what a client of Celery's protocol sent by name, as `submit_task.apply_async` takes it.

Protocol 2 puts a task's options among the headers, beside the client's own; protocol 1 puts all of
it into the body. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kombu import Message

from godel_tasks.errors import InvalidTask

#: Headers of the protocol: what is called otherwise is the client's own (`traceparent`, ...).
_PROTOCOL = frozenset({
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries",
    "timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result",
    "replaced_task_nesting", "stamped_headers", "stamps", "meth", "headers", "compression",
})  # fmt: skip
#: What the body of protocol 2 says beside the arguments, and the options of that meaning.
_EMBEDDED = {
    "callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord",
}  # fmt: skip
#: Celery's clients on Redis send priority 0 when they were given none.
_UNSET_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One call. `embed` is the body's third part, as Celery reads it."""

    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    embed: dict[str, Any] = field(default_factory=dict)


def headers_of(message: Message, body: Any) -> dict[str, Any]:
    """The headers of protocol 2; made from the body of protocol 1."""
    if not isinstance(body, Mapping):
        return dict(message.headers)
    made = {name: body.get(name) for name in _PROTOCOL - {"headers", "compression"} if name in body}
    if "taskset" in body:
        made["group"] = body["taskset"]
    return {**dict(message.headers), **made}


def task_id_of(headers: Mapping[str, Any]) -> str | None:
    """The id under which the client waits; None when there is none that could be waited for."""
    task_id = headers.get("id")
    return task_id if isinstance(task_id, str) and task_id else None


def read(message: Message, body: Any, headers: Mapping[str, Any]) -> Sent:
    """The call that a message stands for.

    Raises:
        InvalidTask: its body cannot be read, or an option is of the wrong kind.
    """
    args, kwargs, embed = _parts(message, body)
    options = _options(headers, message.properties or {})
    options |= {ours: embed[theirs] for theirs, ours in _EMBEDDED.items() if embed.get(theirs)}
    return Sent(args, kwargs, options, embed)


def _parts(message: Message, body: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    if isinstance(body, Mapping):
        embed = {name: body.get(name) for name in ("callbacks", "errbacks", "chord")}
        parts: Any = (body.get("args") or [], body.get("kwargs") or {}, embed)
    else:
        try:
            parts = message.payload
        except Exception as error:  # whatever a decoder may raise: a stranger wrote it
            raise InvalidTask(
                f"the message cannot be read: {error}", hint="send JSON, in Celery's protocol 2"
            ) from error
    if not isinstance(parts, list | tuple) or len(parts) != 3:
        raise InvalidTask(
            "the body of the message is not a task's", hint="send [args, kwargs, embed]"
        )
    args, kwargs, embed = parts
    if not isinstance(args, list | tuple):
        raise InvalidTask(f"args {args!r} is not a list", hint="send [tenant_id, payload]")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidTask(f"kwargs {kwargs!r} is not an object of names", hint="leave it empty")
    return list(args), dict(kwargs), dict(embed) if isinstance(embed, Mapping) else {}


def _options(headers: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    task_id = headers.get("id")
    options: dict[str, Any] = {"task_id": task_id}
    for name in ("eta", "expires"):
        if headers.get(name):
            options[name] = _moment(name, headers[name])
    priority = properties.get("priority")
    if priority is not None and priority != _UNSET_PRIORITY:
        options["priority"] = priority
    limits = headers.get("timelimit")
    if isinstance(limits, list | tuple) and limits and limits[0]:
        options["time_limit"] = limits[0]
    if headers.get("ignore_result"):
        options["ignore_result"] = True
    for option, header in (("parent_id",) * 2, ("group_id", "group"), ("group_index",) * 2):
        if headers.get(header) is not None:
            options[option] = headers[header]
    # Clients fill these in with the task's own id; that says nothing.
    if headers.get("root_id") not in (None, task_id):
        options["root_id"] = headers["root_id"]
    if properties.get("correlation_id") not in (None, "", task_id):
        options["correlation_id"] = properties["correlation_id"]
    if properties.get("reply_to"):
        options["reply_to"] = properties["reply_to"]
    stamps = _stamps(headers)
    if stamps:
        options["stamps"] = stamps
    own = _own(headers, stamps)
    if own:
        options["headers"] = own
    return options


def _moment(name: str, value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidTask(
            f"{name} {value!r} is not a time", hint="use ISO 8601, as 2026-01-31T12:00:00+00:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stamps(headers: Mapping[str, Any]) -> dict[str, Any]:
    names, stamps = headers.get("stamped_headers"), headers.get("stamps")
    if not isinstance(names, list | tuple) or not isinstance(stamps, Mapping):
        return {}
    return {name: stamps[name] for name in names if name in stamps}


def _own(headers: Mapping[str, Any], stamps: Mapping[str, Any]) -> dict[str, Any]:
    """The client's own headers. Some tracers repeat theirs in one called `headers`."""
    nested = headers.get("headers")
    own = dict(nested) if isinstance(nested, Mapping) else {}
    own |= {n: v for n, v in headers.items() if n not in _PROTOCOL and n not in stamps}
    return {name: value for name, value in own.items() if value is not None}
