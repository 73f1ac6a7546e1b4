"""Turns: what an attempt looks like to a gateway, and which of its sessions are Godel's. No I/O.

A payload is the message itself (text), or an object with `message` and, if wanted, `agent`,
`model` (needs admin), `thinking` and `system` (added to the system prompt). The result is
{"text", "session", "model"} and, where the agent sent some, "media".

Session keys are `agent:<agent>:godel:<tenant>:s:<session>` for a task with a session, and
`agent:<agent>:godel:<tenant>:t:<task>:<attempt>` for one without: an attempt never sees what an
earlier one left half done. The gateway folds session keys to lower case, so everything but lower
case letters, digits and a few signs is written as %hh: two tenants never meet in one session.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from godel_tasks.domain.attempt import Delivery
from godel_tasks.errors import InvalidTask

#: The second part of the session keys that are ours.
MARK = "godel"
#: Added to the time that the gateway itself allows: ours is up first, and says why.
TIMEOUT_MARGIN_S = 5

_PLAIN = re.compile(r"[a-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Turn:
    """`params` of the `agent` request."""

    session_key: str
    params: dict[str, Any]


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    agent: str = ""
    model: str = ""
    thinking: str = ""
    system: str = ""


_FIELDS = tuple(field.name for field in msgspec.structs.fields(_Wanted))


def turn_of(delivery: Delivery, default_agent: str) -> Turn:
    """The turn that an attempt is.

    Raises:
        InvalidTask: its payload is none; says what was wrong and what was expected.
    """
    wanted = _wanted(delivery)
    agent = wanted.agent or default_agent
    key = session_key_of(delivery, agent)
    params: dict[str, Any] = {
        "message": wanted.message,
        "sessionKey": key,
        "idempotencyKey": delivery.key,
        "deliver": False,
    }
    if wanted.model:
        params["model"] = wanted.model
    if wanted.thinking:
        params["thinking"] = wanted.thinking
    if wanted.system:
        params["extraSystemPrompt"] = wanted.system
    if delivery.timeout_ms:
        params["timeout"] = math.ceil(delivery.timeout_ms / 1000) + TIMEOUT_MARGIN_S
    return Turn(key, params)


def session_key_of(delivery: Delivery, agent: str) -> str:
    """See the module."""
    if delivery.session_id:
        return named_session_key(agent, delivery.tenant_id, delivery.session_id)
    task = f"{_folded(delivery.task_id)}:{delivery.attempt}"
    return f"agent:{agent}:{MARK}:{_folded(delivery.tenant_id)}:t:{task}"


def named_session_key(agent: str, tenant_id: str, session_id: str) -> str:
    """The key of a session that a tenant named."""
    return f"agent:{agent}:{MARK}:{_folded(tenant_id)}:s:{_folded(session_id)}"


def is_ours(session_key: str) -> bool:
    """Whether Godel made the session."""
    return session_key.split(":", 3)[2:3] == [MARK]


def session_parts(session_key: str) -> tuple[str, str] | None:
    """Tenant and session of a session that a tenant named; None for any other key."""
    parts = session_key.split(":")
    if len(parts) != 6 or not is_ours(session_key) or parts[4] != "s":
        return None
    return unquote(parts[3]), unquote(parts[5])


def _folded(text: str) -> str:
    return "".join(
        sign if _PLAIN.fullmatch(sign) else "".join(f"%{byte:02x}" for byte in sign.encode())
        for sign in text
    )


def _wanted(delivery: Delivery) -> _Wanted:
    expected = 'expected text, or an object like {"message": "..."}'
    if delivery.encoding != "json":
        try:
            text = delivery.payload.decode()
        except UnicodeDecodeError:
            raise InvalidTask(
                "the payload is bytes that are no UTF-8 text", hint=expected
            ) from None
        return _checked(_Wanted(text), expected)
    try:
        value = msgspec.json.decode(delivery.payload)
    except msgspec.DecodeError as error:
        raise InvalidTask(f"the payload is no JSON: {error}", hint=expected) from None
    if isinstance(value, str):
        return _checked(_Wanted(value), expected)
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise InvalidTask(f"the payload is a {kind}, not a message for an agent", hint=expected)
    for name in value:
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1)
            raise InvalidTask(
                f"the payload has a field {name!r}, which an agent's turn has not",
                hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_FIELDS)}",
            )
    try:
        return _checked(msgspec.convert(value, _Wanted), expected)
    except msgspec.ValidationError as error:
        raise InvalidTask(f"the payload does not fit: {error}", hint=expected) from None


def _checked(wanted: _Wanted, expected: str) -> _Wanted:
    if not wanted.message.strip():
        raise InvalidTask("the message is empty", hint=expected)
    return wanted
