"""`revoke` and `terminate`, for Godel's tasks: the durable cancel in Redis.

Celery's own would write REVOKED to the result backend for every id that reads PENDING there, as
each waiting task of Godel's does, and no dispatcher would know. Every worker gets the same
broadcast: the first one's cancel counts, the others find it done. Ids that no cell knows (control
jobs, ordinary tasks) are Celery's.
"""

from __future__ import annotations

from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from godel_tasks.cancelling import cancel_many, told
from godel_tasks.worker.remote import Remote

#: Celery's own: this module is imported before anything takes its place.
_CELERYS = Panel.data["revoke"]
#: Who cancelled it, where nobody says so.
SOMEBODY = "control"


def revoke(
    remote: Remote,
    state: Any,
    task_id: Any,
    terminate: bool = False,
    signal: str | None = None,
    who: str = SOMEBODY,
    **kwargs: Any,
) -> Any:
    """Cancel tasks by id. One that runs is stopped only with `terminate`."""
    task_ids = list(dict.fromkeys(map(str, maybe_list(task_id) or ())))
    found = remote.ask(
        lambda: cancel_many(remote.runtime, task_ids, who=who, running_too=bool(terminate))
    )
    said = [f"{i}: {told(reply)}" for i, reply in found.items()]
    rest = [i for i in task_ids if i not in found]
    if rest:
        answer = _CELERYS(state, rest, terminate=terminate, signal=signal, **kwargs)
        said.append(str(answer.get("ok", answer)))
    return {"ok": "; ".join(said)}


def terminate(remote: Remote, state: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """Cancel tasks by id, running ones too. The signal is for Celery's own tasks."""
    return revoke(remote, state, task_id, terminate=True, signal=signal, **kwargs)
