"""What became of a run that another connection began (or this one, before it broke). I/O: calls.

Asked in this order, for each answer alone can mislead: `agent.wait` (says nothing of a run that it
does not know, and nothing else of one that goes on), the gateway's list of running work, and the
session's transcript, where the run's own message stands once it has begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from godel_tasks.domain.attempt import End, Usage
from godel_tasks.instances.drivers.openclaw.ends import Judgement, Kind, judge_wait
from godel_tasks.instances.drivers.openclaw.frames import Counted, WaitAnswer, wait_decoder
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway

#: How long one wait for the end of a run lasts.
WAIT_MS = 20_000
#: Most messages of a session that are looked through.
HISTORY = 100
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Found:
    """How a run ended, and what it said and used."""

    judgement: Judgement
    text: str = ""
    usage: Usage | None = None


async def follow(
    gateway: Gateway, key: str, session_key: str, stopping: Callable[[], End | None]
) -> Found | None:
    """Wait for the end of a run; None when the gateway never began it. `stopping` says why it was
    asked to stop, if it was.

    Raises:
        InstanceUnavailable: the connection broke, or it did not answer.
    """
    wait_ms = 1
    while True:
        answer = await _wait(gateway, key, wait_ms)
        if answer.endedAt:
            return await _told(gateway, key, session_key, answer, stopping())
        if await task_of(gateway, key, session_key) is not None:
            wait_ms = WAIT_MS
            continue
        # It may have ended between the two.
        answer = await _wait(gateway, key, 1)
        if answer.endedAt:
            return await _told(gateway, key, session_key, answer, stopping())
        return await _from_transcript(gateway, key, session_key)


async def running_tasks(gateway: Gateway, session_key: str = "") -> list[dict[str, Any]]:
    """What the gateway works at or has in its queue, or what of it belongs to one session: dicts
    with taskId, runId, sessionKey."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"status": ["running", "queued"], "limit": _PAGE}
        if session_key:
            params["sessionKey"] = session_key
        if cursor:
            params["cursor"] = cursor
        page = await gateway.call("tasks.list", params)
        found += page.get("tasks") or ()
        cursor = page.get("nextCursor")
        if not cursor:
            return found


async def task_of(gateway: Gateway, key: str, session_key: str = "") -> dict[str, Any] | None:
    """The entry of a run in that list."""
    for task in await running_tasks(gateway, session_key):
        if task.get("runId") == key:
            return task
    return None


async def stop_run(gateway: Gateway, key: str, session_key: str) -> bool:
    """Ask for a run to be stopped, whoever began it; False when the gateway does not run it. A run
    of this connection is aborted directly, one of another connection is cancelled as a task."""
    if session_key:
        try:
            params = {"sessionKey": session_key, "runId": key}
            if (await gateway.call("chat.abort", params)).get("aborted"):
                return True
        except CallFailed:
            pass  # "unauthorized": another connection began it
    task = await task_of(gateway, key, session_key)
    if task is None:
        return False
    answer = await gateway.call("tasks.cancel", {"taskId": task["taskId"]})
    return bool(answer.get("cancelled"))


async def _wait(gateway: Gateway, key: str, wait_ms: int) -> WaitAnswer:
    raw = await gateway.call_raw(
        "agent.wait", {"runId": key, "timeoutMs": wait_ms}, timeout_s=wait_ms / 1000 + 15
    )
    return wait_decoder.decode(raw)


async def _told(
    gateway: Gateway, key: str, session_key: str, answer: WaitAnswer, stopping: End | None
) -> Found:
    judgement = judge_wait(answer, stopping=stopping)
    said = await _transcript(gateway, key, session_key)
    text = answer.terminalReply.text if answer.terminalReply else (said.text if said else "")
    return Found(judgement, text, said.usage if said else None)


async def _from_transcript(gateway: Gateway, key: str, session_key: str) -> Found | None:
    """The gateway does not know the run any more: it never got it, or ended it long ago."""
    said = await _transcript(gateway, key, session_key)
    if said is None:
        return None
    if said.done:
        return Found(Judgement(Kind.OK), said.text, said.usage)
    why = "the gateway began it, and knows neither the run nor an answer"
    return Found(Judgement(Kind.UNKNOWN, why), said.text, said.usage)


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    usage: Usage | None
    done: bool


async def _transcript(gateway: Gateway, key: str, session_key: str) -> _Said | None:
    """What follows the run's own message in its session; None when that is not there."""
    page = await gateway.call("chat.history", {"sessionKey": session_key, "limit": HISTORY})
    pending = (page.get("pendingInputs") or {}).get("items") or ()
    begun = any(item.get("runId") == key for item in pending)
    text, usage, done = "", None, False
    for message in page.get("messages") or ():
        role = message.get("role")
        if role == "user":
            if begun and text:
                break
            begun = begun or message.get("idempotencyKey") == f"{key}:user"
        elif role == "assistant" and begun:
            text = _text_of(message.get("content")) or text
            usage = added(usage, message)
            done = message.get("stopReason") == "stop"
    return _Said(text, usage, done) if begun else None


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = [p.get("text", "") for p in content or () if isinstance(p, dict)]
    return "".join(part for part in parts if part)


def added(usage: Usage | None, message: dict[str, Any]) -> Usage | None:
    """The usage of one more message of the model."""
    try:
        counted = msgspec.convert(message.get("usage"), Counted)
    except msgspec.ValidationError:  # none, or not as we know it
        return usage
    before = usage or Usage()
    return Usage(
        before.input_tokens + counted.input,
        before.output_tokens + counted.output,
        before.cache_read_tokens + counted.cacheRead,
        before.cache_write_tokens + counted.cacheWrite,
        before.cost_usd + (counted.cost.total if counted.cost else 0.0),
        str(message.get("model") or before.model),
        str(message.get("provider") or before.provider),
    )
