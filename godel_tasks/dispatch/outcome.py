"""Outcome: how a task ended, as the outbox keeps it, and as Celery's result backend wants it.

The outbox entry holds everything that the published bytes are made of, so that publishing it again
(by anybody) gives the same bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from godel_tasks.domain.attempt import Usage
from godel_tasks.domain.task import STATE_OF_LETTER, TaskState


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """A terminal state with its result or error. `at_ms` is wall time."""

    letter: str
    tenant_id: str
    at_ms: int
    instance_id: str = ""
    attempt: int = 0
    run_ms: float = 0.0
    #: JSON text, for SUCCEEDED.
    result: bytes = b""
    error_type: str = ""
    error_module: str = ""
    error_message: str = ""
    traceback: str = ""
    ignore_result: bool = False
    correlation_id: str = ""
    #: Something follows it, or may: a script that ends a task does not look into its body.
    followed: bool = False
    #: Of the attempt that ended it. New fields go last: entries that are older have none.
    usage: Usage | None = None
    #: Which claim sent it there: dispatcher, batch, when (ms) and class, for `explain`.
    routed: tuple[str, int, int, str] | None = None
    #: That its session was moved before the last attempt, and why.
    session_note: str = ""

    @property
    def state(self) -> TaskState:
        return STATE_OF_LETTER[self.letter]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Outcome)
_json = msgspec.json.Encoder()

_ERROR_MODULE = "godel_tasks.errors"
#: How the reasons of what was buried without an attempt begin, and the errors that they stand for.
NO_INSTANCE, SESSION_STUCK = "no instance", "the session's instance"
_BURIED = ((NO_INSTANCE, "TaskUnroutable"), (SESSION_STUCK, "SessionInstanceLost"))


def encode_outcome(outcome: Outcome) -> bytes:
    return _encoder.encode(outcome)


def decode_outcome(entry: bytes) -> Outcome:
    """An outbox entry: one of a dispatcher, or "!letter tenant at_ms text" of a script."""
    if not entry.startswith(b"!"):
        return _decoder.decode(entry)
    letter, tenant_id, at_ms, text = entry[1:].decode().split(" ", 3)
    if letter == "S":
        return Outcome(letter, tenant_id, int(at_ms), result=text.encode(), followed=True)
    return Outcome(
        letter,
        tenant_id,
        int(at_ms),
        error_type=next((kind for start, kind in _BURIED if text.startswith(start)), "TaskError"),
        error_module=_ERROR_MODULE,
        error_message=text,
        followed=True,
    )


def celery_error(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    """The state of a task that did not succeed, and its exception, as Celery stores them."""
    if outcome.letter == "F":
        return "FAILURE", {
            "exc_type": outcome.error_type,
            "exc_message": [outcome.error_message],
            "exc_module": outcome.error_module or "builtins",
        }
    # As Celery does for revoked and for expired tasks.
    return "REVOKED", {
        "exc_type": "TaskRevokedError",
        "exc_message": [outcome.error_message],
        "exc_module": "celery.exceptions",
    }


def usage_data(usage: Usage) -> dict[str, Any]:
    """Usage as results carry it."""
    return {name: getattr(usage, name) for name in usage.__struct_fields__}


class _Canvas(msgspec.Struct):
    children: msgspec.Raw = msgspec.Raw(b"[]")


_canvas_decoder = msgspec.json.Decoder(_Canvas)
_NO_CHILDREN = msgspec.Raw(b"[]")


def celery_meta(task_id: str, outcome: Outcome, canvas: bytes = b"") -> bytes:
    """The task's result in the format of Celery's Redis backend, with what Godel knows beside it
    under "godel" (which Celery ignores). `canvas` says what follows it."""
    children = _NO_CHILDREN
    if outcome.letter == "S":
        status: str = "SUCCESS"
        result: Any = msgspec.Raw(outcome.result or b"null")
        if canvas:
            children = _canvas_decoder.decode(canvas).children
    else:
        status, result = celery_error(outcome)
    done = datetime.fromtimestamp(outcome.at_ms / 1000, UTC).isoformat()
    known: dict[str, Any] = {"usage": usage_data(outcome.usage)} if outcome.usage else {}
    if outcome.routed:
        known["routed"] = outcome.routed
    if outcome.session_note:
        known["session_note"] = outcome.session_note
    return _json.encode(
        {
            "status": status,
            "result": result,
            "traceback": outcome.traceback or None,
            "children": children,
            "date_done": done,
            "task_id": task_id,
            "godel": {
                "state": outcome.state.value,
                "tenant": outcome.tenant_id,
                "instance": outcome.instance_id,
                "attempts": outcome.attempt,
                "run_ms": round(outcome.run_ms, 3),
                **known,
            },
        }
    )
