"""What may be said of a session at the door. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from godel_tasks.domain.session import (
    MAX_SESSION_ID,
    Affinity,
    is_session_id,
    session_terms,
)
from godel_tasks.errors import InvalidSession, InvalidTask

#: Labels of one session, and characters of each name and value.
MAX_LABELS, MAX_LABEL = 32, 256

_ID_HINT = f"1 to {MAX_SESSION_ID} printable ASCII characters, no spaces"
_AFFINITY_HINT = "use soft (it may move to another instance) or hard (it may not)"


def terms_of(session_id: str, affinity: str, ttl_ms: int) -> str:
    """A task's session as submit sends it.

    Raises:
        InvalidTask: no such id or affinity is possible.
    """
    if not is_session_id(session_id):
        raise InvalidTask(f"session_id {session_id!r} cannot be used", hint=_ID_HINT)
    if affinity and affinity not in tuple(Affinity):
        raise InvalidTask(f"unknown session_affinity {affinity!r}", hint=_AFFINITY_HINT)
    return session_terms(session_id, Affinity(affinity or Affinity.SOFT), ttl_ms)


def check_session(
    session_id: str, affinity: str, ttl_s: float, labels: Mapping[str, str]
) -> Affinity:
    """The affinity of a session that is to be made.

    Raises:
        InvalidSession: what is wrong, and what was expected.
    """
    if not is_session_id(session_id):
        raise InvalidSession(f"session_id {session_id!r} cannot be used", hint=_ID_HINT)
    if affinity not in tuple(Affinity):
        raise InvalidSession(f"unknown affinity {affinity!r}", hint=_AFFINITY_HINT)
    if not 0 < ttl_s <= 10**9:
        raise InvalidSession(
            f"ttl_s {ttl_s!r} is out of range", hint="use a number of seconds above 0"
        )
    pairs = [(str(name), str(value)) for name, value in labels.items()]
    if len(pairs) > MAX_LABELS or any(len(part) > MAX_LABEL for pair in pairs for part in pair):
        raise InvalidSession(
            f"labels {dict(labels)!r} cannot be kept",
            hint=f"at most {MAX_LABELS} texts by text, each of at most {MAX_LABEL} characters",
        )
    return Affinity(affinity)
