"""`tasks.list` and `tasks.cancel`."""

from __future__ import annotations

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.methods.method import LATER, Method
from godel_tasks.testing.fake_gateway.params import names, number
from godel_tasks.testing.fake_gateway.peer import READ, WRITE, Peer
from godel_tasks.testing.fake_gateway.runs import How, Task
from godel_tasks.testing.fake_gateway.sessions import folded
from godel_tasks.testing.fake_gateway.wire import Request, invalid, response

_STATUSES = names("running queued completed failed cancelled timed_out lost")
_LIVE = names("running queued")


def tasks_list(boot: Boot, _peer: Peer, request: Request) -> object:
    """Newest first, in pages."""
    params = request.params
    limit = number("tasks.list", params, "limit", 100, 500)
    said = params.get("status")
    wanted = frozenset([said] if isinstance(said, str) else said or _STATUSES)
    if wanted - _STATUSES:
        raise invalid("invalid tasks.list params: at /status: must match a schema in anyOf")
    key = params.get("sessionKey")
    if key:
        key = folded(str(key), boot.kept.habits.agents[0])
    agent_id = params.get("agentId")
    try:
        offset = int(params.get("cursor") or 0)
    except ValueError:
        raise invalid("invalid tasks.list params: invalid cursor") from None

    def fits(task: Task) -> bool:
        return (
            task.status in wanted
            and (not key or task.session_key == key)
            and (not agent_id or task.agent_id == agent_id)
        )

    tasks = boot.kept.tasks
    if wanted <= _LIVE:
        session = boot.kept.sessions.get(key) if key else None
        among = [run.task for run in session.live] if session else list(tasks.live.values())
        among.reverse()
    else:
        among = tasks.newest_first()
    found = [task for task in among if fits(task)]
    answer: dict[str, object] = {"tasks": [task.row() for task in found[offset : offset + limit]]}
    if len(found) > offset + limit:
        answer["nextCursor"] = str(offset + limit)
    return answer


def tasks_cancel(boot: Boot, peer: Peer, request: Request) -> object:
    """Whoever began it."""
    task_id = str(request.params["taskId"])
    tasks = boot.kept.tasks
    task = tasks.live.get(task_id) or tasks.ended.get(task_id)
    if task is None:
        return {"found": False, "cancelled": False, "reason": "Task not found."}
    run = boot.work.live.get(task.run_id)
    if run is None or run.task is not task:
        reason = "Task no longer owns an active Gateway run."
        return {"found": True, "cancelled": False, "reason": reason, "task": task.row()}
    row = task.row() | {"status": "cancelled"}
    peer.send(response(request.id, {"found": True, "cancelled": True, "task": row}))
    boot.work.end(run, How.ABORTED)
    return LATER


METHODS = {
    "tasks.list": Method(
        tasks_list, READ, names("status agentId sessionKey limit cursor kind runtime")
    ),
    "tasks.cancel": Method(tasks_cancel, WRITE, names("taskId reason"), ("taskId",)),
}
