"""Sessions of one instance, in memory: they end with the process."""

from __future__ import annotations

import uuid

from godel_tasks.clock import Clock
from godel_tasks.domain.session import Session, SessionConfig


class SessionBook:
    """Creates, finds and ends sessions."""

    def __init__(self, instance_id: str, clock: Clock) -> None:
        self._instance_id = instance_id
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def create(self, config: SessionConfig) -> Session:
        """A new session; one that exists under that id already is returned as it is."""
        session_id = config.session_id or uuid.uuid4().hex
        known = self._sessions.get(session_id)
        if known is not None:
            return known
        session = Session(
            session_id=session_id,
            instance_id=self._instance_id,
            tenant_id=config.tenant_id,
            created_ms=self._clock.wall_ms(),
            labels=dict(config.labels),
        )
        self._sessions[session_id] = session
        return session

    def get(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def terminate(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
