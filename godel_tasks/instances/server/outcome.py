"""What a handler's end looks like as a completion. Pure."""

from __future__ import annotations

import traceback as traceback_module
from typing import Any

import msgspec

from godel_tasks.domain.attempt import Completion, Delivery, End

#: Longest traceback that travels, in characters.
TRACEBACK_LIMIT = 8 * 1024
#: Longest error message that travels, in characters.
MESSAGE_LIMIT = 2 * 1024

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class BadPayload(Exception):
    """The payload of a delivery is not the JSON that it says it is."""


def payload_of(delivery: Delivery) -> Any:
    """What the handler is given.

    Raises:
        BadPayload: it is not JSON.
    """
    if delivery.encoding == "bytes":
        return delivery.payload
    try:
        return _decode(delivery.payload)
    except (ValueError, RecursionError) as error:  # msgspec's own error is a ValueError
        raise BadPayload(f"the payload is not JSON: {error}") from error


def returned(delivery: Delivery, result: Any, run_ms: float) -> Completion:
    """The handler returned: OK, or FAILED when JSON cannot carry the result."""
    try:
        encoded = _encode(result)
    except Exception as error:  # whatever a foreign object raises while it is encoded
        return Completion(
            delivery.task_id,
            delivery.attempt,
            delivery.instance_id,
            End.FAILED,
            error_type="PayloadNotSerializable",
            error_module="godel_tasks.errors",
            error_message=_cut(
                f"the handler returned {type(result).__name__}, which JSON cannot carry: {error}",
                MESSAGE_LIMIT,
            ),
            run_ms=run_ms,
            retryable=False,
        )
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        End.OK,
        encoded,
        run_ms=run_ms,
    )


def raised(delivery: Delivery, error: BaseException, run_ms: float) -> Completion:
    """The handler raised. An attribute `retryable = False` on what it raised is respected."""
    bad_payload = isinstance(error, BadPayload)
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        End.FAILED,
        error_type="PayloadNotSerializable" if bad_payload else type(error).__qualname__,
        error_module="godel_tasks.errors" if bad_payload else type(error).__module__,
        error_message=_cut(_text_of(error), MESSAGE_LIMIT),
        traceback="" if bad_payload else _traceback_of(error),
        run_ms=run_ms,
        retryable=not bad_payload and getattr(error, "retryable", True) is not False,
    )


def stopped(delivery: Delivery, end: End, run_ms: float) -> Completion:
    """It was asked to stop (CANCELLED, TIMED_OUT), or the instance stops under it (LOST)."""
    message = {
        End.CANCELLED: "the attempt was cancelled",
        End.TIMED_OUT: f"the attempt ran longer than {delivery.timeout_ms} ms",
        End.LOST: "the instance stopped while the attempt was running",
    }[end]
    return Completion(
        delivery.task_id,
        delivery.attempt,
        delivery.instance_id,
        end,
        error_type={End.CANCELLED: "Cancelled", End.TIMED_OUT: "TimedOut", End.LOST: "Lost"}[end],
        error_message=message,
        run_ms=run_ms,
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # the exception's own __str__ is the handler's code
        return f"<its text cannot be had: {type(broken).__name__}>"


def _traceback_of(error: BaseException) -> str:
    # The first line of the stack is Godel's own call of the handler.
    stack = error.__traceback__
    if stack is not None and stack.tb_next is not None:
        stack = stack.tb_next
    try:
        lines = traceback_module.format_exception(type(error), error, stack)
    except Exception:  # as in _text_of
        lines = traceback_module.format_tb(stack)
    return _cut("".join(lines), TRACEBACK_LIMIT)


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8; the beginning and the end are what tells most."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text.encode()) <= limit:
        return text
    half = (limit - 8) // 2
    data = text.encode()
    return data[:half].decode(errors="ignore") + "\n...\n" + data[-half:].decode(errors="ignore")
