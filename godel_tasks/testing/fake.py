"""A runtime without servers: state and results on fakeredis, a broker in memory."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import redis
import redis.asyncio
from celery.backends.redis import RedisBackend
from celery.exceptions import TimeoutError as CeleryTimeout

from godel_tasks.dispatch.config import CellStore
from godel_tasks.embedded import ServerUrls
from godel_tasks.errors import GodelError, TaskNotSettled
from godel_tasks.runtime import Runtime
from godel_tasks.settings import Settings
from godel_tasks.store.command import Command
from godel_tasks.store.executor import AsyncExecutor, SyncExecutor
from godel_tasks.store.registry import RegistryCommands

T = TypeVar("T")
#: Is told the names of commands.
Hook = Callable[[frozenset[str]], None]

#: Where nobody listens: fakeredis never connects.
URL = "redis://godel-offline.invalid:6379/0"
URLS = ServerUrls(state=URL, broker="memory://", result=URL, redbeat=URL)
#: Seconds after which a `get()` without a timeout gives up.
PATIENCE_S = 5.0
#: Seconds between two looks for a published result.
_LOOK_EVERY_S = 0.005


def check_installed() -> None:
    """Raises `GodelError` unless fakeredis is there, with Lua."""
    missing = [name for name in ("fakeredis", "lupa") if importlib.util.find_spec(name) is None]
    if missing:
        raise GodelError(
            f"Godel offline needs {' and '.join(missing)}", hint="pip install godel-tasks[testing]"
        )


class FakeRuntime(Runtime):
    """`before` and `after` hear of every command that producers send. `ahead_ms` is how far its
    time is ahead of the clock."""

    def __init__(self, settings: Settings, before: Hook, after: Hook) -> None:
        check_installed()
        import fakeredis

        super().__init__(settings)
        self._fakeredis = fakeredis
        self._server = fakeredis.FakeServer()
        self._hooks = before, after
        self.ahead_ms = 0
        self.cells = tuple(CellStore(cell, self._now_ms) for cell in range(settings.cells))
        self.registry = RegistryCommands(self._now_ms)

    def _now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms if self.ahead_ms else 0

    def client(self) -> redis.Redis:
        """A new client of the fake server."""
        made: redis.Redis = self._fakeredis.FakeRedis(server=self._server)
        return made

    @cached_property
    def urls(self) -> ServerUrls:
        return URLS

    @cached_property
    def store(self) -> SyncExecutor:
        return _WatchedExecutor(self.client(), *self._hooks)

    @cached_property
    def results(self) -> SyncExecutor:
        return SyncExecutor(self.client())

    def async_store(self) -> AsyncExecutor:
        return _WatchedAsyncExecutor(self.async_results(), *self._hooks)

    def async_results(self) -> redis.asyncio.Redis:
        made: redis.asyncio.Redis = self._fakeredis.FakeAsyncRedis(server=self._server)
        return made


def _names(commands: Iterable[Command[Any]]) -> frozenset[str]:
    return frozenset(command.name for command in commands)


class _WatchedExecutor(SyncExecutor):
    def __init__(self, client: redis.Redis, before: Hook, after: Hook) -> None:
        super().__init__(client)
        self._before, self._after = before, after

    def run(self, command: Command[T]) -> T:
        self._before(_names([command]))
        reply = super().run(command)
        self._after(_names([command]))
        return reply

    def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        self._before(_names(commands))
        replies = super().pipeline(commands)
        self._after(_names(commands))
        return replies


class _WatchedAsyncExecutor(AsyncExecutor):
    def __init__(self, client: redis.asyncio.Redis, before: Hook, after: Hook) -> None:
        super().__init__(client)
        self._before, self._after = before, after

    async def run(self, command: Command[T]) -> T:
        self._before(_names([command]))
        reply = await super().run(command)
        self._after(_names([command]))
        return reply


class _Consumer(RedisBackend.ResultConsumer):  # type: ignore[valid-type,misc]
    def _wait_for_pubsub(self, pubsub: Any, timeout: float | None) -> bool:  # noqa: ARG002
        # A fake connection has no socket to wait on.
        time.sleep(_LOOK_EVERY_S)
        return True


class FakeBackend(RedisBackend):
    """Celery's Redis result backend on the fake server."""

    ResultConsumer = _Consumer

    def __init__(self, runtime: FakeRuntime, **options: Any) -> None:
        self._runtime = runtime
        super().__init__(url=URL, **options)

    def _create_client(self, **_params: Any) -> redis.Redis:
        return self._runtime.client()

    def wait_for_pending(  # type: ignore[override]
        self, result: Any, timeout: float | None = None, **options: Any
    ) -> Any:
        """Celery's; but who has set no timeout is not left waiting for ever."""
        try:
            return super().wait_for_pending(
                result, timeout=PATIENCE_S if timeout is None else timeout, **options
            )
        except CeleryTimeout:
            if timeout is not None:
                raise
            raise TaskNotSettled(
                f"nothing has settled task {result.id}: offline there is nobody who runs it",
                hint="settle it with godel.settle() or godel.fail(), or give a handler to "
                "godel.answer() before it is submitted",
            ) from None
