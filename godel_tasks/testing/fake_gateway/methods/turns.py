"""`agent`, `agent.wait` and `chat.abort`."""

from __future__ import annotations

from godel_tasks.testing.fake_gateway.answers import answer
from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.methods.method import LATER, Method
from godel_tasks.testing.fake_gateway.params import names, number, text
from godel_tasks.testing.fake_gateway.peer import ADMIN, READ, WRITE, Peer
from godel_tasks.testing.fake_gateway.runs import How, Phase, Run
from godel_tasks.testing.fake_gateway.sessions import folded
from godel_tasks.testing.fake_gateway.wire import Request, invalid, now_ms, response

#: Longest wait of `agent.wait`.
_WAIT_MS = 3_600_000


def agent(boot: Boot, peer: Peer, request: Request) -> object:
    """Two responses: that it was taken, and how it ended."""
    params = request.params
    message = text("agent", params, "message")
    run_id = text("agent", params, "idempotencyKey")
    known = boot.kept.habits.agents
    wanted = str(params.get("agentId") or "")
    if wanted and wanted not in known:
        raise invalid(f'invalid agent params: unknown agent id "{wanted}"')
    if (params.get("model") or params.get("provider")) and not peer.may(ADMIN):
        raise invalid("provider/model overrides are not authorized for this caller.")
    timeout_s = number("agent", params, "timeout", 0, 86_400)
    key = folded(str(params.get("sessionKey") or "main"), wanted or known[0])
    agent_id = key.split(":")[1]
    if agent_id not in known:
        raise invalid(f'Agent "{agent_id}" no longer exists in configuration')
    before = boot.work.find(run_id)
    if before is not None:
        if before.phase is Phase.ENDED:
            peer.send(answer(before, request.id, boot.kept.habits))
            return LATER
        return {
            "runId": run_id,
            "status": "in_flight",
            "sessionKey": before.session.key,
            "agentId": before.agent_id,
        }
    session = boot.kept.sessions.made(key, agent_id)
    run = Run(run_id, session, message, timeout_s, (peer, request.id))
    taken = {
        "runId": run_id,
        "sessionKey": key,
        "agentId": agent_id,
        "status": "accepted",
        "acceptedAt": now_ms(),
    }
    peer.send(response(request.id, taken))
    boot.work.take(run)
    return LATER


def agent_wait(boot: Boot, peer: Peer, request: Request) -> object:
    run_id = text("agent.wait", request.params, "runId")
    timeout_ms = number("agent.wait", request.params, "timeoutMs", 30_000, _WAIT_MS)
    boot.work.wait(peer, request.id, run_id, timeout_ms)
    return LATER


def chat_abort(boot: Boot, peer: Peer, request: Request) -> object:
    """One run, or all of a session."""
    params = request.params
    key = str(params.get("sessionKey") or "")
    if not key:
        details = {"code": "SESSION_MUTATION_TARGET_REQUIRED", "method": "chat.abort"}
        raise invalid("session mutation target is unavailable", details)
    key = folded(key, boot.kept.habits.agents[0])
    run_id = params.get("runId")
    if run_id is not None:
        run = boot.work.live.get(str(run_id))
        runs = [] if run is None else [run]
        if run is not None:
            if run.session.key != key and not run.may_be_aborted_by(peer, owner_only=True):
                raise invalid("runId does not match sessionKey")
            if not run.may_be_aborted_by(peer):
                raise invalid("unauthorized")
    else:
        session = boot.kept.sessions.get(key)
        found = list(session.live) if session else []
        runs = [run for run in found if run.may_be_aborted_by(peer)]
        if found and not runs:
            raise invalid("unauthorized")
    ids = [run.run_id for run in runs]
    peer.send(response(request.id, {"ok": True, "aborted": bool(runs), "runIds": ids}))
    # The last first: none of them begins because another one has ended.
    for run in reversed(runs):
        boot.work.end(run, How.ABORTED)
    return LATER


METHODS = {
    "agent": Method(
        agent,
        WRITE,
        names(
            "message agentId provider model to replyTo sessionId sessionKey thinking deliver"
            " attachments channel replyChannel accountId replyAccountId threadId groupId"
            " groupChannel groupSpace timeout bestEffortDeliver lane cwd promptMode modelRun"
            " extraSystemPrompt bootstrapContextMode internalEvents inputProvenance"
            " idempotencyKey label"
        ),
        ("message", "idempotencyKey"),
    ),
    "agent.wait": Method(agent_wait, READ, names("runId timeoutMs"), ("runId",)),
    "chat.abort": Method(chat_abort, WRITE, names("sessionKey runId agentId")),
}
