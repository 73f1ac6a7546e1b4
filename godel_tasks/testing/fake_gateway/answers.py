"""How the end of a run is told: to who asked, to who waits, to all. No I/O."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.runs import How, Run
from godel_tasks.testing.fake_gateway.wire import Refused, encoded, failure, response

REJECTED = "LLM request failed: provider rejected the request schema or tool payload."
NOT_FOUND = "The selected model was not found by the provider. Check the model id and try again."
RATE_LIMITED = "LLM request failed: rate limit exceeded, HTTP 429. Try again later."
REFUSED = "LLM request failed: connection refused by the provider endpoint."
ABORTED = "This operation was aborted"


def failure_text(fail: str) -> str:
    """What the gateway says of a failure of the model: a status, "refused" or "cut"."""
    match fail:
        case "404":
            return NOT_FOUND
        case "401" | "403":
            return f"LLM request failed: authentication failed, HTTP {fail}"
        case "429":
            return RATE_LIMITED
        case "refused" | "cut":
            return REFUSED
    if fail.startswith("5"):
        return f"LLM request failed: provider returned a server error, HTTP {fail}"
    return REJECTED


def is_asked_again(fail: str) -> bool:
    """Whether the gateway itself tries once more."""
    return fail.startswith("5") or fail in ("429", "refused", "cut")


def usage_of(run: Run, habits: Habits) -> dict[str, Any]:
    """Tokens are words; a prompt brings a hundred of its own."""
    tokens_in = 100 + len(run.message.split())
    cost_in = tokens_in * habits.input_price / 1e6
    cost_out = run.words * habits.output_price / 1e6
    return {
        "input": tokens_in,
        "output": run.words,
        "cacheRead": 0,
        "cacheWrite": 0,
        "total": tokens_in + run.words,
        "cost": {"input": cost_in, "output": cost_out, "total": cost_in + cost_out},
    }


def answer(run: Run, request_id: str, habits: Habits) -> str:
    """The last response to `agent`, now or when the key comes again."""
    run_id = run.run_id
    if run.how is How.OK:
        payload = {"runId": run_id, "status": "ok", "summary": "completed"}
        return response(request_id, payload | {"result": _result(run, habits)})
    if run.how is How.FAILED:
        payload = {"runId": run_id, "status": "error", "summary": run.error}
        return failure(request_id, Refused("UNAVAILABLE", run.error), payload)
    if run.how is How.TIMEOUT:
        payload = {
            "runId": run_id,
            "status": "timeout",
            "summary": "aborted",
            "timeoutPhase": "provider",
        }
        return response(request_id, payload | {"result": _result(run, habits)})
    if not run.started_ms:
        payload = {"runId": run_id, "status": "error", "summary": f"{ABORTED} | 20"}
        return failure(request_id, Refused("UNAVAILABLE", f"{ABORTED} | 20"), payload)
    payload = {"runId": run_id, "status": "timeout", "summary": "aborted"}
    if run.how is How.RESET:
        payload |= {"stopReason": "restart", "timeoutPhase": "gateway_draining"}
    else:
        payload["stopReason"] = "rpc"
    return response(request_id, payload)


def wait_answer(run: Run) -> dict[str, Any]:
    """What `agent.wait` says of a run that has ended."""
    payload: dict[str, Any] = {"runId": run.run_id, "status": "ok", "stopReason": "stop"}
    match run.how:
        case How.FAILED:
            payload |= {"status": "error", "stopReason": "error", "error": run.error}
        case How.ABORTED:
            payload |= {"status": "error", "stopReason": "rpc", "error": ABORTED}
        case How.RESET:
            payload |= {"status": "error", "stopReason": "restart", "error": ABORTED}
        case How.TIMEOUT:
            del payload["stopReason"]
            payload |= {"status": "timeout", "timeoutPhase": "provider"}
    payload["endedAt"] = run.ended_ms
    if run.started_ms:
        payload["startedAt"] = run.started_ms
    if run.said:
        payload["terminalReply"] = {"disposition": "visible", "text": run.said}
    return payload


def end_data(run: Run) -> dict[str, Any]:
    """`data` of the last `agent` event of stream "lifecycle"."""
    times = {"startedAt": run.started_ms, "endedAt": run.ended_ms}
    match run.how:
        case How.OK:
            reply = {"disposition": "visible", "text": run.said}
            return {
                "phase": "end",
                **times,
                "aborted": False,
                "stopReason": "stop",
                "executionSettled": True,
                "terminalReply": reply,
            }
        case How.FAILED:
            return {"phase": "error", **times, "error": run.error, "executionSettled": True}
    reason = {How.ABORTED: "rpc", How.RESET: "restart"}.get(run.how or How.OK, "timeout")
    return {
        "phase": "end",
        **times,
        "status": "cancelled",
        "aborted": True,
        "stopReason": reason,
        "executionSettled": True,
    }


def _result(run: Run, habits: Habits) -> dict[str, Any]:
    usage = usage_of(run, habits)
    timed_out = run.how is How.TIMEOUT
    text = "Request timed out before a response was generated." if timed_out else run.said
    said: dict[str, Any] = {"text": text, "mediaUrl": None}
    if timed_out:
        said["isError"] = True
    return {
        "payloads": [said],
        "meta": {
            "durationMs": run.ended_ms - run.started_ms,
            "agentMeta": {
                "sessionId": run.session.session_id,
                "sessionFile": run.session.key,
                "provider": habits.provider,
                "model": habits.model,
                "usage": usage,
                "costUsd": usage["cost"]["total"],
            },
            "aborted": timed_out,
            "systemPromptReport": _filler(habits.filler_bytes),
        },
    }


@lru_cache(maxsize=8)
def _filler(size: int) -> msgspec.Raw:
    return encoded({"source": "run", "skills": "x" * size})
