"""`sessions.*` and `chat.history`."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.methods.method import Method
from godel_tasks.testing.fake_gateway.params import names, number, text
from godel_tasks.testing.fake_gateway.peer import ADMIN, READ, WRITE, Peer
from godel_tasks.testing.fake_gateway.runs import How, Phase
from godel_tasks.testing.fake_gateway.sessions import Session, folded
from godel_tasks.testing.fake_gateway.wire import Request, invalid, now_ms


def sessions_list(boot: Boot, _peer: Peer, request: Request) -> object:
    """Those touched last come first."""
    params = request.params
    limit = number("sessions.list", params, "limit", 100, 10_000)
    offset = number("sessions.list", params, "offset", 0, 10**9)
    minutes = number("sessions.list", params, "activeMinutes", 0, 10**9)
    search = str(params.get("search") or "").lower()
    since_ms = now_ms() - minutes * 60_000 if minutes else 0
    agent_id = params.get("agentId")
    found = [
        session
        for session in boot.kept.sessions.by_key.values()
        if (not search or search in session.key or search in session.label.lower())
        and session.updated_ms >= since_ms
        and (not agent_id or session.agent_id == agent_id)
    ]
    found.sort(key=lambda session: session.updated_ms, reverse=True)
    page = [session.listed() for session in found[offset : offset + limit]]
    more = offset + len(page) < len(found)
    return {
        "ts": now_ms(),
        "count": len(page),
        "totalCount": len(found),
        "limitApplied": limit,
        "offset": offset,
        "nextOffset": offset + len(page) if more else None,
        "hasMore": more,
        "sessions": page,
    }


def sessions_create(boot: Boot, _peer: Peer, request: Request) -> object:
    params = request.params
    agent_id = str(params.get("agentId") or boot.kept.habits.agents[0])
    session = _made(boot, str(params.get("key") or f"dashboard:{uuid4()}"), agent_id)
    session.label = str(params.get("label") or session.label)
    return {
        "ok": True,
        "key": session.key,
        "sessionId": session.session_id,
        "entry": _entry(session),
        "runStarted": False,
    }


def sessions_describe(boot: Boot, _peer: Peer, request: Request) -> object:
    session = _found(boot, request, "key")
    return {"session": session.row() if session else None}


def sessions_patch(boot: Boot, _peer: Peer, request: Request) -> object:
    """An unknown session is made."""
    key = text("sessions.patch", request.params, "key")
    session = _made(boot, key, boot.kept.habits.agents[0])
    if "label" in request.params:
        session.label = str(request.params["label"] or "")
    session.updated_ms = now_ms()
    return {"ok": True, "key": session.key, "entry": _entry(session), "resolved": {}}


def sessions_reset(boot: Boot, _peer: Peer, request: Request) -> object:
    """Its id stays; what runs in it is aborted."""
    key = text("sessions.reset", request.params, "key")
    session = _made(boot, key, boot.kept.habits.agents[0])
    _abort_all(boot, session)
    session.reset()
    return {"ok": True, "key": session.key, "entry": _entry(session)}


def sessions_delete(boot: Boot, _peer: Peer, request: Request) -> object:
    session = _found(boot, request, "key")
    if session is None:
        return {"ok": True, "deleted": False, "archived": []}
    if session.key == f"agent:{session.agent_id}:main":
        raise invalid(f"Cannot delete the main session ({session.key}).")
    _abort_all(boot, session)
    boot.kept.sessions.by_key.pop(session.key, None)
    path = f"/fake/archive/{session.session_id}.jsonl"
    return {"ok": True, "key": session.key, "deleted": True, "archived": [path]}


def chat_history(boot: Boot, _peer: Peer, request: Request) -> object:
    """The newest `limit` messages, oldest first; of an unknown session none."""
    params = request.params
    limit = number("chat.history", params, "limit", 200, 1000)
    offset = number("chat.history", params, "offset", 0, 10**9)
    session = _found(boot, request, "sessionKey")
    key = folded(str(params["sessionKey"]), boot.kept.habits.agents[0])
    answer: dict[str, Any] = {"sessionKey": key, "messages": [], "hasMore": False}
    if session is None:
        return answer | {"totalMessages": 0, "pendingInputs": {"items": [], "total": 0}}
    upto = max(0, len(session.messages) - offset)
    begin = max(0, upto - limit)
    pending = [
        {"runId": run.run_id, "text": run.message, "createdAt": run.task.created_ms}
        for run in session.live
        if run.phase is Phase.QUEUED
    ]
    return answer | {
        "sessionId": session.session_id,
        "messages": session.messages[begin:upto],
        "pendingInputs": {"items": pending, "total": len(pending)},
        "hasMore": begin > 0,
        "totalMessages": len(session.messages),
        "sessionInfo": session.listed(),
    }


def _found(boot: Boot, request: Request, name: str) -> Session | None:
    key = text(request.method, request.params, name)
    return boot.kept.sessions.get(folded(key, boot.kept.habits.agents[0]))


def _made(boot: Boot, key: str, agent_id: str) -> Session:
    key = folded(key, agent_id)
    agent_id = key.split(":")[1]
    if agent_id not in boot.kept.habits.agents:
        raise invalid(f'Agent "{agent_id}" no longer exists in configuration')
    return boot.kept.sessions.made(key, agent_id)


def _abort_all(boot: Boot, session: Session) -> None:
    for run in reversed(session.live[:]):
        boot.work.end(run, How.RESET)
    # What a crash had interrupted in it is not taken up any more.
    kept = boot.kept
    kept.interrupted = [pair for pair in kept.interrupted if pair[0] is not session]


def _entry(session: Session) -> dict[str, Any]:
    return {
        "sessionId": session.session_id,
        "createdAt": session.created_ms,
        "updatedAt": session.updated_ms,
    }


_LISTED_BY = names(
    """limit offset search agentId activeMinutes includeGlobal includeUnknown label spawnedBy
    includeDerivedTitles includeLastMessage archived"""
)
_PATCHED = names(
    "key label agentId model thinkingLevel verboseLevel reasoningLevel archived pinned"
)
METHODS = {
    "sessions.list": Method(sessions_list, READ, _LISTED_BY),
    "sessions.create": Method(
        sessions_create, WRITE, names("key label agentId model parentSessionKey message task")
    ),
    "sessions.describe": Method(sessions_describe, READ, names("key agentId"), ("key",)),
    "sessions.patch": Method(sessions_patch, WRITE, _PATCHED, ("key",)),
    "sessions.reset": Method(sessions_reset, ADMIN, names("key agentId reason"), ("key",)),
    "sessions.delete": Method(
        sessions_delete, ADMIN, names("key agentId deleteTranscript"), ("key",)
    ),
    "chat.history": Method(
        chat_history, READ, names("sessionKey limit offset agentId maxChars"), ("sessionKey",)
    ),
}
