"""Runs and the records of them as tasks. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.wire import now_ms

if TYPE_CHECKING:
    from godel_tasks.testing.fake_gateway.sessions import Session

#: Records of ended tasks that are kept, at least.
KEEP_TASKS = 5_000


class How(StrEnum):
    """How a run ended."""

    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"
    #: Its own `timeout` was up.
    TIMEOUT = "timeout"
    #: Its session was reset under it.
    RESET = "reset"


class Phase(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(slots=True)
class Task:
    """What `tasks.list` says of a run; outlives the process."""

    task_id: str
    run_id: str
    session_key: str
    agent_id: str
    created_ms: int
    status: str = "queued"
    started_ms: int = 0
    ended_ms: int = 0
    error: str = ""

    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": self.task_id,
            "taskId": self.task_id,
            "kind": "cli",
            "runtime": "cli",
            "status": self.status,
            "agentId": self.agent_id,
            "sessionKey": self.session_key,
            "childSessionKey": self.session_key,
            "ownerKey": self.session_key,
            "runId": self.run_id,
            "sourceId": self.run_id,
            "createdAt": self.created_ms,
            "updatedAt": self.ended_ms or self.started_ms or self.created_ms,
            "deliveryStatus": "not_applicable",
        }
        if self.started_ms:
            row["startedAt"] = self.started_ms
        if self.ended_ms:
            row["endedAt"] = self.ended_ms
            row["terminalSummary"] = self.status
        if self.error:
            row["error"] = self.error
        return row


class Tasks:
    """Those that are live, and the ended ones, oldest first."""

    def __init__(self) -> None:
        self.live: dict[str, Task] = {}
        self.ended: OrderedDict[str, Task] = OrderedDict()

    def add(self, task: Task) -> None:
        self.live[task.task_id] = task

    def end(self, task: Task, status: str, error: str = "") -> None:
        task.status, task.error, task.ended_ms = status, error, now_ms()
        self.live.pop(task.task_id, None)
        self.ended[task.task_id] = task
        if len(self.ended) > KEEP_TASKS:
            self.ended.popitem(last=False)

    def process_exited(self) -> None:
        for task in list(self.live.values()):
            self.end(task, "cancelled", "Task execution process exited before restart.")

    def newest_first(self) -> list[Task]:
        return [*reversed(self.live.values()), *reversed(self.ended.values())]


class Run:
    """One turn. `owner` is connection and device of whoever began it, None when nobody did."""

    __slots__ = (
        "agent_id",
        "asker",
        "ended_ms",
        "error",
        "how",
        "message",
        "owner",
        "phase",
        "run_id",
        "said",
        "seq",
        "session",
        "started_ms",
        "task",
        "timeout_s",
        "timer",
        "up",
        "words",
    )

    def __init__(
        self,
        run_id: str,
        session: Session,
        message: str,
        timeout_s: float = 0.0,
        asker: tuple[Peer, str] | None = None,
    ) -> None:
        self.run_id = run_id
        self.session = session
        self.agent_id = session.agent_id
        self.message = message
        self.timeout_s = timeout_s
        #: Who is told of the end, and under which id.
        self.asker = asker
        self.owner = (asker[0].conn_id, asker[0].device_id) if asker else None
        self.phase = Phase.QUEUED
        self.how: How | None = None
        self.error = ""
        #: What the assistant has said so far, and in how many words.
        self.said = ""
        self.words = 0
        self.seq = 0
        self.started_ms = 0
        self.ended_ms = 0
        #: The next step, and the end by its own timeout.
        self.timer: asyncio.TimerHandle | None = None
        self.up: asyncio.TimerHandle | None = None
        self.task = Task(str(uuid4()), run_id, session.key, session.agent_id, now_ms())

    def __repr__(self) -> str:
        return f"<Run {self.run_id} {self.how or self.phase}>"

    def may_be_aborted_by(self, peer: Peer, *, owner_only: bool = False) -> bool:
        """By administrators, by whoever began it, and by anybody when nobody did."""
        if peer.may("operator.admin"):
            return True
        if self.owner is None:
            return not owner_only
        conn_id, device_id = self.owner
        return conn_id == peer.conn_id or bool(device_id and device_id == peer.device_id)

    def stop_timers(self) -> None:
        for timer in (self.timer, self.up):
            if timer is not None:
                timer.cancel()
        self.timer = self.up = None
