"""Work: the runs of one life of the process, their keys, their lane, and who waits for them."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from typing import Any

from godel_tasks.testing.fake_gateway.answers import answer, end_data, usage_of, wait_answer
from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.peer import READ, Peer
from godel_tasks.testing.fake_gateway.runs import How, Phase, Run, Tasks
from godel_tasks.testing.fake_gateway.turns import Playing
from godel_tasks.testing.fake_gateway.wire import event, now_ms, response

#: Ended runs whose keys are remembered, at least.
KEEP_RUNS = 10_000

_TASK_STATUS = {How.OK: "completed", How.FAILED: "failed"}


class Wait:
    """Somebody waits for the end of a run."""

    __slots__ = ("peer", "request_id", "timer")

    def __init__(self, peer: Peer, request_id: str) -> None:
        self.peer = peer
        self.request_id = request_id
        self.timer: asyncio.TimerHandle | None = None


class Work:
    """One run of a session at a time, so many in the lane, the others in order behind them."""

    def __init__(
        self, habits: Habits, tasks: Tasks, peers: set[Peer], starts: list[str], calls: Counter[str]
    ) -> None:
        self.habits = habits
        self._tasks = tasks
        self._peers = peers
        self._starts = starts
        self._calls = calls
        self.live: dict[str, Run] = {}
        self.ended: OrderedDict[str, Run] = OrderedDict()
        self.active = 0
        #: Runs that only the lane keeps waiting.
        self.queue: deque[Run] = deque()
        self._waits: dict[str, list[Wait]] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._pumping = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Work {self.active} active, {len(self.live) - self.active} waiting>"

    def find(self, run_id: str) -> Run | None:
        return self.live.get(run_id) or self.ended.get(run_id)

    def take(self, run: Run) -> None:
        """Begin it, now or in its turn."""
        self._idle.clear()
        self.live[run.run_id] = run
        self._tasks.add(run.task)
        run.session.live.append(run)
        if run.session.live[0] is run:
            self.queue.append(run)
            self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return  # a turn ended as it began: whoever began it goes on
        self._pumping = True
        try:
            while self.queue and self.active < self.habits.lanes:
                run = self.queue.popleft()
                if run.phase is Phase.QUEUED:
                    self._begin(run)
        finally:
            self._pumping = False

    def _begin(self, run: Run) -> None:
        self.active += 1
        self._starts.append(run.run_id)
        run.phase = Phase.RUNNING
        run.started_ms = run.task.started_ms = now_ms()
        run.task.status = "running"
        run.session.begin(run)
        habits = self.habits
        self.emit(run, "lifecycle", {"phase": "start", "startedAt": run.started_ms})
        model = {"phase": "model", "provider": habits.provider, "model": habits.model}
        self.emit(run, "lifecycle", model)
        Playing(self, run).begin()

    def count_call(self, message: str) -> int:
        """One more call of the model with this message; how many there were."""
        self._calls[message] += 1
        return self._calls[message]

    def say(self, run: Run, delta: str, words: int) -> None:
        run.said += delta
        run.words += words
        if not self._listeners():
            return
        data = {"text": run.said, "delta": delta, "itemId": f"{run.run_id}:1"}
        self.emit(run, "assistant", data)
        self._chat(run, {"state": "delta", "deltaText": delta, "message": _message(run)})

    def end(self, run: Run, how: How, error: str = "") -> None:
        """Once; all who want to know are told."""
        if run.phase is Phase.ENDED or self._over:
            return
        begun = run.phase is Phase.RUNNING
        run.stop_timers()
        run.phase, run.how, run.error, run.ended_ms = Phase.ENDED, how, error, now_ms()
        self._tasks.end(run.task, _TASK_STATUS.get(how, "cancelled"), error)
        session, habits = run.session, self.habits
        was_first = session.live[0] is run
        session.live.remove(run)
        del self.live[run.run_id]
        self.ended[run.run_id] = run
        if len(self.ended) > KEEP_RUNS:
            self.ended.popitem(last=False)
        if begun:
            self.active -= 1
            session.end(run, usage_of(run, habits), habits.provider, habits.model)
            self._tell_end(run)
        if run.asker is not None:
            peer, request_id = run.asker
            run.asker = None
            if peer.open:
                peer.send(answer(run, request_id, habits))
        self._answer_waits(run)
        if was_first and session.live:
            self.queue.append(session.live[0])
        self._pump()
        if not self.live:
            self._idle.set()

    def _tell_end(self, run: Run) -> None:
        if not self._listeners():
            return
        if run.how is How.OK:
            self.emit(run, "usage", {"outputTokens": run.words})
            finishing = {"phase": "finishing", "stopReason": "stop", "aborted": False}
            self.emit(run, "lifecycle", finishing)
        self.emit(run, "lifecycle", end_data(run))
        match run.how:
            case How.OK:
                said = {"state": "final", "stopReason": "stop", "message": _message(run)}
            case How.FAILED:
                said = {"state": "error", "errorMessage": run.error}
            case _:
                said = {"state": "aborted", "stopReason": end_data(run)["stopReason"]}
        self._chat(run, said)

    # -- events ------------------------------------------------------------------------------

    def _listeners(self) -> list[Peer]:
        return [peer for peer in self._peers if peer.open and peer.may(READ)]

    def emit(self, run: Run, stream: str, data: dict[str, Any]) -> None:
        """An `agent` event to all who may read; encoded once."""
        run.seq += 1
        listeners = self._listeners()
        if not listeners:
            return
        text = event(
            "agent",
            {
                "runId": run.run_id,
                "sessionKey": run.session.key,
                "stream": stream,
                "data": data,
                "sessionId": run.session.session_id,
                "agentId": run.agent_id,
                "seq": run.seq,
                "ts": now_ms(),
            },
        )
        for peer in listeners:
            peer.tell(text)

    def _chat(self, run: Run, data: dict[str, Any]) -> None:
        head = {"runId": run.run_id, "sessionKey": run.session.key, "agentId": run.agent_id}
        text = event("chat", head | {"seq": run.seq} | data)
        for peer in self._listeners():
            peer.tell(text)

    # -- waiting -----------------------------------------------------------------------------

    def wait(self, peer: Peer, request_id: str, run_id: str, timeout_ms: int) -> None:
        """Answers when it ends, or the time is up; it need not be known yet."""
        run = self.ended.get(run_id)
        if run is not None:
            peer.send(response(request_id, wait_answer(run)))
            return
        wait = Wait(peer, request_id)
        self._waits.setdefault(run_id, []).append(wait)
        loop = asyncio.get_running_loop()
        wait.timer = loop.call_later(timeout_ms / 1000, self._wait_is_up, run_id, wait)

    def _wait_is_up(self, run_id: str, wait: Wait) -> None:
        waits = self._waits.get(run_id, [])
        if wait in waits:
            waits.remove(wait)
            if not waits:
                del self._waits[run_id]
            payload = {"runId": run_id, "status": "timeout"}
            wait.peer.send(response(wait.request_id, payload))

    def _answer_waits(self, run: Run) -> None:
        for wait in self._waits.pop(run.run_id, ()):
            if wait.timer is not None:
                wait.timer.cancel()
            wait.peer.send(response(wait.request_id, wait_answer(run)))

    async def idle(self) -> None:
        """Nothing runs and nothing waits."""
        await self._idle.wait()

    def process_exited(self) -> None:
        """The process is gone: nothing goes on, nobody is told."""
        self._over = True
        for run in self.live.values():
            run.stop_timers()
        for waits in self._waits.values():
            for wait in waits:
                if wait.timer is not None:
                    wait.timer.cancel()
        self._tasks.process_exited()
        self._idle.set()


def _message(run: Run) -> dict[str, Any]:
    content = [{"type": "text", "text": run.said}]
    return {"role": "assistant", "content": content, "timestamp": now_ms()}
