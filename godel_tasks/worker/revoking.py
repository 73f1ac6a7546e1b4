"""`revoke` and `terminate`, for Godel's tasks: the durable cancel in Redis.

Celery's own would write REVOKED to the result backend for every id that reads PENDING there, as
each waiting task of Godel's does, and no dispatcher would know. Every worker gets the same
broadcast: the first one's cancel counts, the others find it done. Ids that no cell knows (control
jobs, ordinary tasks) are Celery's.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import structlog
from celery.utils.functional import maybe_list
from celery.worker.control import Panel

from godel_tasks.cancelling import cancel_many, told
from godel_tasks.errors import GodelError
from godel_tasks.stamped import cancel_stamped
from godel_tasks.store.queue import CancelReply
from godel_tasks.worker.remote import ANSWER_WITHIN_S, Remote

log = structlog.get_logger("godel.control")

#: Celery's own: this module is imported before anything takes its place.
_CELERYS = {name: Panel.data[name] for name in ("revoke", "revoke_by_stamped_headers")}
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
        answer = _CELERYS["revoke"](state, rest, terminate=terminate, signal=signal, **kwargs)
        said.append(str(answer.get("ok", answer)))
    return {"ok": "; ".join(said)}


def terminate(remote: Remote, state: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """Cancel tasks by id, running ones too. The signal is for Celery's own tasks."""
    return revoke(remote, state, task_id, terminate=True, signal=signal, **kwargs)


def revoke_by_stamped_headers(
    remote: Remote,
    state: Any,
    headers: Any,
    terminate: bool = False,
    signal: str | None = None,
    who: str = SOMEBODY,
    **kwargs: Any,
) -> Any:
    """Cancel tasks by their stamps: those that are unsettled now. Every unsettled task is looked
    at, which may take longer than anybody waits for an answer."""
    celerys = _CELERYS["revoke_by_stamped_headers"](
        state, headers, terminate=terminate, signal=signal, **kwargs
    )
    wanted = dict(pair.split("=", 1) for pair in headers) if isinstance(headers, list) else headers
    work = remote.begin(
        lambda: cancel_stamped(remote.runtime, wanted, who=who, running_too=bool(terminate))
    )
    try:
        said = _counted(work.result(ANSWER_WITHIN_S))
    except TimeoutError:
        work.add_done_callback(_tell)
        said = "Godel's tasks are still looked through; the log will say how many"
    return {"ok": f"{celerys.get('ok', celerys)}; {said}"}


def _counted(found: dict[str, CancelReply]) -> str:
    done = sum(reply.outcome in ("cancelled", "asked") for reply in found.values())
    return f"{done} of Godel's tasks cancelled"


def _tell(work: Future[dict[str, CancelReply]]) -> None:
    try:
        log.info("control.revoked_by_stamps", found=_counted(work.result()))
    except GodelError as error:
        log.warning("control.failed", error=error.message, hint=error.hint)
