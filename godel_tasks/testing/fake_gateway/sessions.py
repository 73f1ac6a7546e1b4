"""Sessions and their transcripts: what outlives the process. No I/O."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from godel_tasks.testing.fake_gateway.runs import How, Run
from godel_tasks.testing.fake_gateway.wire import now_ms

_STATUS_OF = {
    How.OK: "done",
    How.FAILED: "failed",
    How.ABORTED: "killed",
    How.TIMEOUT: "timeout",
    How.RESET: "killed",
}


class Session:
    """`status` is "" before its first run. `live` are its runs, the one at work first."""

    __slots__ = (
        "aborted_last_run",
        "agent_id",
        "cost",
        "created_ms",
        "input",
        "key",
        "label",
        "live",
        "messages",
        "output",
        "session_id",
        "status",
        "updated_ms",
    )

    def __init__(self, key: str, agent_id: str) -> None:
        self.key = key
        self.agent_id = agent_id
        self.session_id = str(uuid4())
        self.created_ms = self.updated_ms = now_ms()
        self.label = ""
        self.status = ""
        self.aborted_last_run = False
        self.live: list[Run] = []
        self.messages: list[dict[str, Any]] = []
        self.input = self.output = 0
        self.cost = 0.0

    def __repr__(self) -> str:
        return f"<Session {self.key} {self.status or 'new'}, {len(self.messages)} messages>"

    def begin(self, run: Run) -> None:
        self.status = "running"
        self.aborted_last_run = False
        self.updated_ms = run.started_ms
        self.messages.append(
            {
                "role": "user",
                "content": run.message,
                "timestamp": run.started_ms,
                "idempotencyKey": f"{run.run_id}:user",
                "__openclaw": {"id": str(uuid4()), "idempotencyKey": f"{run.run_id}:user"},
            }
        )

    def end(self, run: Run, usage: dict[str, Any], provider: str, model: str) -> None:
        """The part that was said before an abort is kept, and not marked as cut."""
        how = run.how or How.OK
        self.status = _STATUS_OF[how]
        self.aborted_last_run = how in (How.ABORTED, How.RESET)
        self.updated_ms = run.ended_ms
        if how is How.RESET or (how is not How.OK and not run.said and not run.error):
            return
        message: dict[str, Any] = {
            "role": "assistant",
            "content": [{"type": "text", "text": run.said}] if run.said else [],
            "api": "openai-completions",
            "provider": provider,
            "model": model,
            "usage": {
                "input": usage["input"],
                "output": usage["output"],
                "totalTokens": usage["total"],
                "cacheRead": 0,
                "cacheWrite": 0,
                "cost": usage["cost"],
            },
            "stopReason": "error" if how is How.FAILED else "stop",
            "timestamp": run.ended_ms,
            "__openclaw": {"runId": run.run_id, "id": str(uuid4())},
        }
        if run.error:
            message["errorMessage"] = run.error
        self.messages.append(message)
        self.input += usage["input"]
        self.output += usage["output"]
        self.cost += usage["cost"]["total"]

    def process_exited(self) -> str | None:
        """The message that was being answered, if one was: it will be taken up again."""
        begun = [run for run in self.live if run.started_ms]
        self.live.clear()
        if not begun:
            return None
        self.aborted_last_run = True
        return begun[0].message

    def reset(self) -> None:
        self.messages.clear()
        self.input = self.output = 0
        self.cost = 0.0
        self.status = ""
        self.updated_ms = now_ms()

    @property
    def active(self) -> list[Run]:
        """Its runs that have begun: one at most."""
        return [run for run in self.live if run.started_ms]

    def row(self) -> dict[str, Any]:
        """As `sessions.describe` has it; `sessions.list` says more."""
        row: dict[str, Any] = {
            "key": self.key,
            "kind": "direct",
            "agentId": self.agent_id,
            "sessionId": self.session_id,
            "createdAt": self.created_ms,
            "updatedAt": self.updated_ms,
            "abortedLastRun": self.aborted_last_run,
            "inputTokens": self.input,
            "outputTokens": self.output,
            "totalTokens": self.input + self.output,
            "estimatedCostUsd": self.cost,
        }
        if self.status:
            row["status"] = self.status
        if self.label:
            row["label"] = self.label
        return row

    def listed(self) -> dict[str, Any]:
        active = self.active
        row = self.row() | {"hasActiveRun": bool(active)}
        if active:
            row["activeRunIds"] = [run.run_id for run in active]
        return row


class Sessions:
    """All of one gateway, by their keys in lower case."""

    def __init__(self) -> None:
        self.by_key: dict[str, Session] = {}

    def made(self, key: str, agent_id: str) -> Session:
        """The session, made if it is new."""
        session = self.by_key.get(key)
        if session is None:
            session = self.by_key[key] = Session(key, agent_id)
        return session

    def get(self, key: str) -> Session | None:
        return self.by_key.get(key)


def folded(key: str, agent_id: str) -> str:
    """A session key as the gateway keeps it."""
    key = key.lower()
    return key if key.startswith("agent:") else f"agent:{agent_id}:{key}"
