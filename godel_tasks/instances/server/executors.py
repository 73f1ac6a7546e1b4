"""Executors: three ways to run a handler, by what it is.

An executor starts an attempt and later calls `finish(run, completion)` on the event loop, once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from godel_tasks.clock import Clock
from godel_tasks.domain.attempt import Completion
from godel_tasks.instances.attempts import Running
from godel_tasks.instances.handlers import Handler, TaskContext
from godel_tasks.instances.server.outcome import payload_of, raised, returned, stopped
from godel_tasks.instances.server.threads import ThreadPool

Finish = Callable[[Running[Any], Completion], None]


class Executor(ABC):
    """Runs attempts of one handler."""

    #: Whether the handler is over when `start` returns: it needs no timer then.
    immediate = False

    def __init__(self, handler: Handler, clock: Clock) -> None:
        self._function = handler.function
        self._takes_context = handler.takes_context
        self._clock = clock

    @abstractmethod
    def start(self, run: Running[Any], finish: Finish) -> None:
        """Begin; never raises."""

    @abstractmethod
    def interrupt(self, run: Running[Any]) -> bool:
        """Ask it to stop. Returns whether it can be made to (else: when it returns)."""

    @abstractmethod
    def prove(self, proof: asyncio.Future[None]) -> None:
        """Run nothing, just as an attempt would be run, and then resolve `proof`."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Nothing will be started any more."""

    def _arguments(self, run: Running[Any], context: TaskContext | None) -> tuple[Any, ...]:
        payload = payload_of(run.delivery)
        if not self._takes_context:
            return (payload,)
        return payload, context or TaskContext(run.delivery)

    def _completion(
        self, run: Running[Any], began: float, result: Any, error: BaseException | None
    ) -> Completion:
        run_ms = (self._clock.monotonic() - began) * 1000
        if run.stopping is not None:
            # It may have returned something half done because it was asked to stop.
            return stopped(run.delivery, run.stopping, run_ms)
        if error is not None:
            return raised(run.delivery, error, run_ms)
        return returned(run.delivery, result, run_ms)


def _resolve(proof: asyncio.Future[None]) -> None:
    if not proof.done():
        proof.set_result(None)


class InlineExecutor(Executor):
    """Calls a sync handler right on the event loop: for handlers that take microseconds."""

    immediate = True

    def start(self, run: Running[Any], finish: Finish) -> None:
        began = self._clock.monotonic()
        result, error = None, None
        try:
            result = self._function(*self._arguments(run, None))
        except BaseException as raised_:  # SystemExit must not end the instance
            error = raised_
        finish(run, self._completion(run, began, result, error))

    def interrupt(self, run: Running[Any]) -> bool:  # noqa: ARG002 - the contract
        return False  # nobody can ask while the loop is busy with it

    def prove(self, proof: asyncio.Future[None]) -> None:
        _resolve(proof)


class _AsyncWork:
    """What `AsyncExecutor` keeps with an attempt."""

    __slots__ = ("begun", "context", "task")

    def __init__(self, context: TaskContext | None) -> None:
        self.context = context
        self.begun = False
        self.task: asyncio.Task[None] | None = None


class AsyncExecutor(Executor):
    """Runs an async handler as a task of the event loop."""

    def start(self, run: Running[Any], finish: Finish) -> None:
        context = TaskContext(run.delivery) if self._takes_context else None
        run.work = work = _AsyncWork(context)
        work.task = asyncio.get_running_loop().create_task(self._run(run, work, finish))

    def interrupt(self, run: Running[Any]) -> bool:
        work: _AsyncWork = run.work
        if work.context is not None:
            work.context.cancel()
        # A task that is cancelled before its first step would never run the lines that report it.
        if work.begun and work.task is not None:
            work.task.cancel()
        return True

    def prove(self, proof: asyncio.Future[None]) -> None:
        asyncio.get_running_loop().call_soon(_resolve, proof)

    async def _run(self, run: Running[Any], work: _AsyncWork, finish: Finish) -> None:
        work.begun = True
        began = self._clock.monotonic()
        result, error = None, None
        try:
            if run.stopping is None:
                result = await self._function(*self._arguments(run, work.context))
        except BaseException as raised_:  # as above; a cancel is told by `run.stopping`
            error = raised_
        finish(run, self._completion(run, began, result, error))


class ThreadExecutor(Executor):
    """Runs a sync handler on a thread. A thread cannot be interrupted."""

    def __init__(self, handler: Handler, clock: Clock, pool: ThreadPool) -> None:
        super().__init__(handler, clock)
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Ended, and waiting for the loop to see it.
        self._over: deque[tuple[Running[Any], Completion, Finish]] = deque()
        self._loop_is_called = False

    def start(self, run: Running[Any], finish: Finish) -> None:
        self._loop = self._loop or asyncio.get_running_loop()
        run.work = context = TaskContext(run.delivery)
        self._pool.submit(lambda: self._call(run, context, finish))

    def interrupt(self, run: Running[Any]) -> bool:
        run.work.cancel()
        return False

    def prove(self, proof: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()

        def on_thread() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, proof)

        self._pool.submit(on_thread)

    def close(self) -> None:
        self._pool.close()

    def _call(self, run: Running[Any], context: TaskContext, finish: Finish) -> None:
        """On a thread."""
        began = self._clock.monotonic()
        result, error = None, None
        try:
            result = self._function(*self._arguments(run, context))
        except BaseException as raised_:  # as above
            error = raised_
        self._over.append((run, self._completion(run, began, result, error), finish))
        # One call wakes the loop for all that end meanwhile. The flag is cleared before the deque
        # is read, so an end that sees it set is read by that call.
        if not self._loop_is_called and self._loop is not None and not self._loop.is_closed():
            self._loop_is_called = True
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """On the loop."""
        self._loop_is_called = False
        while self._over:
            run, completion, finish = self._over.popleft()
            finish(run, completion)


def executor_for(
    handler: Handler, clock: Clock, *, inline: bool = False, threads: int = 1
) -> Executor:
    """The executor that suits the handler; `threads` is the sum of the capacities it serves."""
    if handler.is_async:
        return AsyncExecutor(handler, clock)
    if inline:
        return InlineExecutor(handler, clock)
    return ThreadExecutor(handler, clock, ThreadPool(threads))
