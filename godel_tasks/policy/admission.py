"""Admission at the door: a request is checked in every field and made into what submit sends.

Pure: the same request gives the same task. Whatever is wrong is said before anything is written.
"""

from __future__ import annotations

# Producers pass what they like, whatever the fields' types say: that is what is checked here.
# mypy: disable-error-code="redundant-expr"
import difflib
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from godel_tasks.domain.requirement import Requirement, digest_of, spec_of
from godel_tasks.domain.task import (
    Level,
    NewTask,
    OnUncertain,
    TaskBody,
    encode_body,
    level_of_celery_priority,
)
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InvalidTask, PayloadNotSerializable, PayloadTooLarge
from godel_tasks.policy.capabilities import capabilities_of, preferences_of, word_of
from godel_tasks.policy.sessions import terms_of
from godel_tasks.policy.strategies import check_strategy

#: A moment or a span: seconds from now, a timedelta, or a datetime (naive ones are UTC).
Moment = int | float | timedelta | datetime

_MAX_ID = 128
_TEXTS = (
    "region", "instance", "session_id", "session_affinity", "strategy", "correlation_id",
    "on_uncertain",
)  # fmt: skip
_NO_TEXTS = ("",) * len(_TEXTS)
_texts_of = attrgetter(*_TEXTS)
_json = msgspec.json.Encoder()
_LEVELS = {name: Level[name.upper()] for name in Level.names()}


class TaskRequest(msgspec.Struct, kw_only=True):
    """What a producer asks for. Only `tenant_id` and `payload` are needed.

    `expires`: start by; `deadline`: finish by; `timeout`: seconds of one attempt.
    """

    tenant_id: str
    payload: Any
    task_id: str | None = None
    priority: str | int = "normal"
    deadline: Moment | None = None
    expires: Moment | None = None
    countdown: float | None = None
    eta: datetime | None = None
    capabilities: Mapping[str, Any] | None = None
    #: As `capabilities`, wished for and not needed; {"weight": 2} inside a condition weighs it.
    prefer: Mapping[str, Any] | None = None
    region: str = ""
    instance: str = ""
    session_id: str = ""
    #: What its session starts with if this is its first task: "soft" (also for "") or "hard".
    session_affinity: str = ""
    strategy: str = ""
    max_attempts: int | None = None
    timeout: float | timedelta | None = None
    correlation_id: str = ""
    headers: Mapping[str, Any] | None = None
    on_uncertain: str = ""
    ignore_result: bool = False
    #: Celery's own fields that travel with the task. They are no part of what it is: the same task
    #: sent again as part of another group is the same.
    celery: dict[str, Any] = {}
    #: What follows its end, as the publisher reads it; empty: nothing.
    canvas: bytes = b""


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """Deployment's limits."""

    payload_limit_bytes: int = 262_144
    #: Of sessions that their first task makes.
    session_ttl_ms: int = 86_400_000


class AdmittedTask(NewTask, frozen=True, gc=False, kw_only=True):
    """A request that passed: the task that submit sends, and what it requires."""

    requirement: Requirement


def _nearest(what: str, given: object, legal: Sequence[str]) -> InvalidTask:
    near = difflib.get_close_matches(str(given), [*map(str, legal)], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(legal)}"
    return InvalidTask(f"unknown {what} {given!r}", hint=hint)


def request_of(fields: Mapping[str, Any]) -> TaskRequest:
    """A request from a dict.

    Raises:
        InvalidTask: an unknown field, or tenant_id or payload is missing.
    """
    legal = TaskRequest.__struct_fields__
    for name in fields:
        if name not in legal:
            raise _nearest("field", name, legal)
    for name in ("tenant_id", "payload"):
        if name not in fields:
            raise InvalidTask(f"{name} is missing", hint=f"every task needs a {name}")
    return TaskRequest(**fields)


def level_of(priority: str | int) -> Level:
    """The level of a name, or of Celery's 0-9 (0 highest).

    Raises:
        InvalidTask: neither.
    """
    if isinstance(priority, str):
        level = _LEVELS.get(priority)
        if level is None:
            raise _nearest("priority", priority, Level.names())
        return level
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority <= 9:
        raise InvalidTask(
            f"priority {priority!r} is out of range",
            hint=f"use 0-9 (0 is the highest) or one of {', '.join(Level.names())}",
        )
    return level_of_celery_priority(priority)


def encode_payload(payload: Any, limit_bytes: int) -> tuple[bytes, str]:
    """The payload's bytes and their encoding, "json" or "bytes".

    Raises:
        PayloadNotSerializable, PayloadTooLarge
    """
    if isinstance(payload, bytes | bytearray | memoryview):
        data, encoding = bytes(payload), "bytes"
    else:
        try:
            data, encoding = _json.encode(payload), "json"
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise PayloadNotSerializable(
                f"the payload cannot be sent: {error}",
                hint="send bytes, or plain JSON: dict, list, str, int, float, bool, None",
            ) from error
    if len(data) > limit_bytes:
        raise PayloadTooLarge(
            f"the payload has {len(data)} bytes, the limit is {limit_bytes}",
            hint="send a reference to it, or raise GODEL_PAYLOAD_LIMIT_BYTES",
        )
    return data, encoding


def _moment(name: str, value: Moment | None) -> str:
    if value is None:
        return "0"
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        ms = int(aware.timestamp() * 1000)
        if ms <= 0:
            raise InvalidTask(f"{name} {value!r} is not a time after 1970")
        return str(ms)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise InvalidTask(
            f"{name} {value!r} is not a time", hint="use seconds, a timedelta or a datetime"
        )
    if value <= 0:
        raise InvalidTask(
            f"{name} {value!r} lies in the past", hint="use a number of seconds above 0"
        )
    return f"+{min(int(value * 1000), 10**13)}"


def _eta(request: TaskRequest) -> str:
    if request.eta is not None and request.countdown is not None:
        raise InvalidTask("both eta and countdown are given", hint="use one of them")
    if request.eta is not None:
        if not isinstance(request.eta, datetime):
            raise InvalidTask(
                f"eta {request.eta!r} is not a datetime", hint="use countdown=seconds"
            )
        return _moment("eta", request.eta)
    countdown = request.countdown
    if countdown is None:
        return "0"
    if isinstance(countdown, int | float) and not isinstance(countdown, bool) and countdown == 0:
        return "0"
    return _moment("countdown", countdown)


def _check_kinds(request: TaskRequest) -> None:
    """What scripts do not look into a dispatcher must be able to read: one bad body would spoil a
    whole claim."""
    if _texts_of(request) != _NO_TEXTS:
        for name, value in zip(_TEXTS, _texts_of(request), strict=True):
            if not isinstance(value, str):
                raise InvalidTask(f"{name} {value!r} is not text", hint=f"give {name} as a string")
    if not isinstance(request.ignore_result, bool):
        raise InvalidTask(
            f"ignore_result {request.ignore_result!r} is not a truth value",
            hint="use True or False",
        )
    if not isinstance(request.celery, dict):
        raise InvalidTask(f"celery {request.celery!r} is not a dict", hint="leave it out")


def _check_words(request: TaskRequest) -> None:
    if not isinstance(request.tenant_id, str) or not is_name(request.tenant_id):
        raise InvalidTask(
            f"tenant_id {request.tenant_id!r} is not a name",
            hint="use letters, digits and . _ - @, at most 64",
        )
    if request.strategy and (wrong := check_strategy(request.strategy)):
        raise InvalidTask(wrong.message, hint=wrong.hint)
    if request.on_uncertain and request.on_uncertain not in tuple(OnUncertain):
        raise _nearest("on_uncertain", request.on_uncertain, tuple(OnUncertain))
    for name in ("region", "instance"):
        value = getattr(request, name)
        if value and not is_name(value):
            raise InvalidTask(f"{name} {value!r} is not a name")
    if request.max_attempts is not None and (
        isinstance(request.max_attempts, bool)
        or not isinstance(request.max_attempts, int)
        or not 1 <= request.max_attempts <= 1000
    ):
        raise InvalidTask(
            f"max_attempts {request.max_attempts!r} is out of range", hint="use 1 to 1000"
        )
    task_id = request.task_id
    if task_id is not None and not (
        isinstance(task_id, str)
        and 0 < len(task_id) <= _MAX_ID
        and task_id.isascii()
        and task_id.isprintable()
        and " " not in task_id
    ):
        raise InvalidTask(
            f"task_id {task_id!r} cannot be used", hint="1 to 128 printable ASCII, no spaces"
        )


def _headers(headers: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise InvalidTask(f"headers {headers!r} is not a dict")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str | int | float | bool):
            raise InvalidTask(
                f"header {name!r}: {value!r} cannot be sent", hint="headers are text by text"
            )
    return {
        name: value if isinstance(value, str) else word_of(value) for name, value in headers.items()
    }


def _encoded(body: TaskBody) -> bytes:
    try:
        return encode_body(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTask(
            f"a field of the task cannot be sent: {error}",
            hint="texts must be valid Unicode, headers and Celery's options plain JSON",
        ) from error


def admit(
    request: TaskRequest,
    task_id: str,
    rules: AdmissionRules,
    headers: Mapping[str, Any] | None = None,
) -> AdmittedTask:
    """A request as submit sends it; `task_id` is its own, or a new one. `headers` travel in place
    of the request's: the same task sent again is the same, whatever trace it is part of.

    Raises:
        InvalidTask: what is wrong, what was expected, the nearest legal name.
    """
    _check_kinds(request)
    _check_words(request)
    session = ""
    if request.session_id or request.session_affinity:
        session = terms_of(request.session_id, request.session_affinity, rules.session_ttl_ms)
    level = level_of(request.priority)
    payload, encoding = encode_payload(request.payload, rules.payload_limit_bytes)
    requirement = Requirement(
        capabilities_of(request.capabilities) if request.capabilities else (),
        request.region,
        request.strategy,
        request.instance,
        preferences_of(request.prefer) if request.prefer else (),
    )
    spec = spec_of(requirement)
    timeout_ms = 0
    if isinstance(request.timeout, datetime):
        raise InvalidTask(f"timeout {request.timeout!r} is a moment", hint="use seconds")
    if request.timeout is not None:
        timeout_ms = max(1, int(_moment("timeout", request.timeout).lstrip("+")))
    content = TaskBody(
        payload,
        encoding,
        timeout_ms,
        request.max_attempts or 0,
        request.on_uncertain,
        request.session_id,
        request.correlation_id,
        _headers(request.headers) if request.headers else {},
        request.celery,
        request.ignore_result,
        bool(request.canvas),
    )
    body = _encoded(content)
    digest = "-"
    if request.task_id is not None:
        same = body
        if request.celery or request.canvas:
            same = encode_body(msgspec.structs.replace(content, celery={}, followed=False))
        identity = f"{request.tenant_id}\n{int(level)}\n{spec}\n".encode() + same
        digest = hashlib.blake2b(identity, digest_size=9).hexdigest()
    if headers is not None:
        body = _encoded(msgspec.structs.replace(content, headers=_headers(headers)))
    return AdmittedTask(
        task_id,
        int(level),
        digest_of(spec),
        spec,
        body,
        _moment("expires", request.expires),
        _eta(request),
        _moment("deadline", request.deadline),
        digest,
        request.canvas,
        session,
        requirement=requirement,
    )
