"""Session: a conversation on an instance. Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

#: Longest id of a session.
MAX_SESSION_ID = 128


class Affinity(StrEnum):
    """How firmly a session is bound to its instance."""

    #: It moves to another one when its own does not serve, and starts fresh there.
    SOFT = "soft"
    #: It waits for its own, and fails when that does not come back in time.
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """What a new session starts from. An empty id lets the instance choose one."""

    session_id: str = ""
    tenant_id: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that exists on an instance."""

    session_id: str
    instance_id: str
    tenant_id: str = ""
    created_ms: int = 0
    labels: dict[str, str] = field(default_factory=dict)


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a tenant, as its cell holds it. Times in ms on Redis's clock, 0 where there is
    none."""

    session_id: str
    tenant_id: str
    affinity: Affinity
    #: "" until its first task is claimed, and after a move until the next one is.
    instance_id: str = ""
    created_ms: int = 0
    used_ms: int = 0
    ttl_ms: int = 0
    labels: dict[str, str] = {}
    #: The task whose turn it is; "" when nothing is to be done.
    head: str = ""
    #: Tasks behind the head.
    waiting: int = 0
    #: Unsettled tasks in all: the head, those behind it, those that are delayed.
    unsettled: int = 0
    moves: int = 0
    moved_from: str = ""
    moved_ms: int = 0
    moved_why: str = ""
    #: It is being ended: it takes no task any more.
    ending: bool = False


def is_session_id(text: str) -> bool:
    """1 to 128 printable ASCII characters, no spaces."""
    return (
        0 < len(text) <= MAX_SESSION_ID
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


def session_name(tenant_id: str, session_id: str) -> str:
    """What keys and values call it. No tenant's name has a colon."""
    return f"{tenant_id}:{session_id}"


def session_terms(session_id: str, affinity: Affinity, ttl_ms: int) -> str:
    """A task's session, and what the session starts with if it is not there yet."""
    return f"{session_id} {affinity} {ttl_ms}"
