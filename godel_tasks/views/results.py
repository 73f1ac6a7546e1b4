"""Results as Celery's backend keeps them, with what Godel wrote beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from godel_tasks.domain.task import TaskState
from godel_tasks.store.command import plain
from godel_tasks.store.keys import result_key

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

#: Celery's terminal states, for results that Godel did not write.
_STATES = {"SUCCESS": "SUCCEEDED", "FAILURE": "FAILED", "REVOKED": "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ended. `error_type` and `error_message` are "" for SUCCEEDED. `settled_at` is
    ISO 8601."""

    state: TaskState
    result: Any = None
    error_type: str = ""
    error_message: str = ""
    traceback: str = ""
    tenant_id: str = ""
    instance_id: str = ""
    attempts: int = 0
    run_ms: float = 0.0
    settled_at: str = ""
    #: As `GodelResult.usage`.
    usage: dict[str, Any] | None = None
    #: Which claim sent it there: dispatcher, batch, when (ms), class.
    routed: tuple[str, int, int, str] | None = None
    session_note: str = ""

    @property
    def ok(self) -> bool:
        return self.state is TaskState.SUCCEEDED


def ending_of(stored: bytes) -> Ending | None:
    """From a stored result; None when it is not of a settled task."""
    meta = msgspec.json.decode(stored)
    godel = meta.get("godel") or {}
    name = godel.get("state") or _STATES.get(meta.get("status", ""))
    if name is None:
        return None
    state = TaskState(name)
    result, error_type, message = meta.get("result"), "", ""
    if state is not TaskState.SUCCEEDED and isinstance(result, dict):
        said = result.get("exc_message", "")
        error_type = str(result.get("exc_type", ""))
        message = " ".join(map(str, said)) if isinstance(said, list | tuple) else str(said)
        result = None
    return Ending(
        state,
        result,
        error_type,
        message,
        meta.get("traceback") or "",
        godel.get("tenant", ""),
        godel.get("instance", ""),
        int(godel.get("attempts", 0)),
        float(godel.get("run_ms", 0.0)),
        meta.get("date_done") or "",
        godel.get("usage"),
        tuple(godel["routed"]) if "routed" in godel else None,
        godel.get("session_note", ""),
    )


def endings(runtime: Runtime, task_ids: Sequence[str]) -> dict[str, Ending]:
    """Those of `task_ids` whose results are kept, in one round trip."""
    if not task_ids:
        return {}
    stored = runtime.results.run(plain("MGET", *map(result_key, task_ids), decode=list))
    found = ((i, ending_of(data)) for i, data in zip(task_ids, stored, strict=True) if data)
    return {task_id: ending for task_id, ending in found if ending is not None}
