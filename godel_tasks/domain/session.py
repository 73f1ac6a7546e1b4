"""Session: a conversation on an instance. Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


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
