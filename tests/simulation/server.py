"""A real server behind a make-believe network: requests and replies take time, and get lost."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from godel_tasks.errors import StoreUnavailable
from godel_tasks.store.command import Command, plain, text
from godel_tasks.store.executor import SyncExecutor
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import SimProcess

T = TypeVar("T")

#: What is not numbered or fenced: it must not run seconds after its sender repeated it. TCP makes
#: sure of that, but for a server that stalls longer than a client waits (`SimServer.stall`).
_NEVER_LATE = frozenset({"submit", "slots"})
#: What adds no work, so that nobody needs to look for tokens after it.
_NEVER_WAKES = frozenset(
    {"renew", "fleet", "sleep", "claim", "slots", "HGETALL", "HLEN", "HDEL", "take_outbox"}
)
#: Seconds until a client gives up an answer.
PATIENCE_S = 5.0
START_MS = 1_800_000_000_000


@dataclass
class Faults:
    """Odds per command, and delays in seconds."""

    lost_request: float = 0.0
    lost_reply: float = 0.0
    #: The client gives up, and the server gets the request later all the same.
    late_request: float = 0.0
    #: The sending process is killed (stalled) while its command is on its way.
    kill: float = 0.0
    stall: float = 0.0
    slowest_s: float = 0.01


class SimServer:
    """Executes commands one by one on a real server, at virtual times."""

    def __init__(
        self, loop: VirtualLoop, executor: SyncExecutor, rng: random.Random, faults: Faults
    ) -> None:
        self.loop = loop
        self.faults = faults
        #: Where commands go on, whatever happens to who sent them.
        self.context = contextvars.copy_context()
        self.commands = 0
        #: Told of every command that ran: who, what, the reply.
        self.watchers: list[Callable[[str, Command[Any], Any], None]] = []
        #: Told before it runs.
        self.guards: list[Callable[[str, Command[Any]], None]] = []
        self._executor = executor
        self._rng = rng
        self._stalled_until = 0.0
        self._waiters: list[tuple[SimProcess, str, asyncio.Future[str | None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now_ms(self) -> int:
        return START_MS + int(self.loop.time() * 1000)

    def stall(self, seconds: float) -> None:
        """Answer nothing for so long."""
        self._stalled_until = max(self._stalled_until, self.loop.time() + seconds)

    def execute(self, sender: str, commands: Sequence[Command[Any]]) -> list[Any]:
        """Right now, with the server's time of now."""
        timed = [self._timed(command) for command in commands]
        for command in timed:
            for guard in self.guards:
                guard(sender, command)
        replies = (
            self._executor.pipeline(timed)
            if len(timed) > 1
            else [self._executor.run(command) for command in timed]
        )
        self.commands += len(timed)
        for command, reply in zip(timed, replies, strict=True):
            for watcher in self.watchers:
                watcher(sender, command, reply)
        if not _NEVER_WAKES.issuperset(command.name for command in timed):
            self._wake()
        return replies

    def ask(self, command: Command[T]) -> T:
        """For the oracle: no delay, no fault."""
        reply: T = self._executor.run(self._timed(command))
        return reply

    def send(self, process: SimProcess, commands: Sequence[Command[Any]]) -> asyncio.Future[Any]:
        """The future of the replies, as the process sees it."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self.background(self._serve(process, commands, answer))
        return answer

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work, context=self.context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, process: SimProcess, commands: Sequence[Command[Any]], answer: asyncio.Future[Any]
    ) -> None:
        rng, faults = self._rng, self.faults
        self._strike(process)
        await asyncio.sleep(rng.random() * faults.slowest_s)
        dice = rng.random()
        if dice < faults.lost_request:
            self._fail(answer, "the request was lost")
            return
        if (stall := self._stalled_until - self.loop.time()) > 0:
            if stall > PATIENCE_S:
                await asyncio.sleep(PATIENCE_S)
                self._fail(answer, "no answer")
            await asyncio.sleep(max(0.0, self._stalled_until - self.loop.time()))
        if dice > 1 - faults.late_request and _NEVER_LATE.isdisjoint(c.name for c in commands):
            self._fail(answer, "no answer")
            await asyncio.sleep(rng.random() * 8)
        try:
            replies = self.execute(process.name, commands)
        except BaseException as error:
            if not answer.done():
                answer.set_exception(error)
            return
        self._strike(process)
        await asyncio.sleep(rng.random() * faults.slowest_s)
        if rng.random() < faults.lost_reply:
            self._fail(answer, "the reply was lost")
        elif not answer.done():
            answer.set_result(replies)

    @staticmethod
    def _fail(answer: asyncio.Future[Any], text: str) -> None:
        if not answer.done():
            answer.set_exception(StoreUnavailable(text))

    def _strike(self, process: SimProcess) -> None:
        """Fate comes between any two commands."""
        dice = self._rng.random()
        if not process.running:
            return
        if dice < self.faults.kill:
            process.kill()
        elif dice < self.faults.kill + self.faults.stall:
            process.stall()
            self.loop.call_later(
                self._rng.choice([0.3, 1.5, 2.2, 3.5, 8.0]), process.resume, context=self.context
            )

    def _timed(self, command: Command[Any]) -> Command[Any]:
        """The command with the server's time of now in place of the sender's."""
        script = command.script
        if script is None or "now" not in script.args:
            return command
        at = 3 + int(command.parts[2]) + script.args.index("now")
        parts = (*command.parts[:at], self.now_ms, *command.parts[at + 1 :])
        return msgspec.structs.replace(command, parts=parts)

    # ------------------------------------------------------------------------- blocking pops

    def wait_for_token(
        self, process: SimProcess, key: str, timeout_s: float
    ) -> asyncio.Future[str | None]:
        answer: asyncio.Future[str | None] = self.loop.create_future()
        self._waiters.append((process, key, answer))
        self.loop.call_later(timeout_s, self._give_up, answer, context=self.context)
        self._wake()
        return answer

    @staticmethod
    def _give_up(answer: asyncio.Future[str | None]) -> None:
        if not answer.done():
            answer.set_result(None)

    def _wake(self) -> None:
        for waiter in list(self._waiters):
            process, key, answer = waiter
            if answer.done() or process.killed:
                self._waiters.remove(waiter)
            elif self.loop.time() >= self._stalled_until and (token := self._pop(key)):
                self._waiters.remove(waiter)
                # The token is on its way: a process that dies now takes it along.
                delay = self._rng.random() * self.faults.slowest_s
                self.loop.call_later(
                    delay, self._deliver_token, answer, token, context=self.context
                )

    @staticmethod
    def _deliver_token(answer: asyncio.Future[str | None], token: str) -> None:
        if not answer.done():
            answer.set_result(token)

    def _pop(self, key: str) -> str:
        return self._executor.run(plain("LPOP", key, decode=lambda reply: text(reply or "")))


class SimExecutor:
    """`Executor` of one process."""

    def __init__(self, server: SimServer, process: SimProcess) -> None:
        self._server = server
        self._process = process

    async def run(self, command: Command[T]) -> T:
        replies = await self.pipeline([command])
        reply: T = replies[0]
        return reply

    async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        if self._process.ghost:
            raise asyncio.CancelledError
        if not commands:
            return []
        replies: list[Any] = await self._server.send(self._process, commands)
        return replies


class SimWaker:
    """`Waker` of one process."""

    def __init__(self, server: SimServer, process: SimProcess) -> None:
        self._server = server
        self._process = process

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        if self._process.ghost:
            raise asyncio.CancelledError
        return await self._server.wait_for_token(self._process, wake_key, timeout_s)
