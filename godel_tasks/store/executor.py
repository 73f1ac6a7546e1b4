"""Two small executors of the same commands: one sync (producers, CLI), one async (dispatchers).

Neither repeats anything by itself: a repeat is safe only where the command says so, and its caller
decides (redis-py would retry ten times by default). A script that the server does not know (a
restart, `SCRIPT FLUSH`) is loaded and the call made again: it had no effect the first time.
Errors of the driver end here, as `StoreError`s.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from godel_tasks.errors import StoreError, StoreUnavailable
from godel_tasks.store.command import Argument, Command
from godel_tasks.store.wire import Wire

T = TypeVar("T")

#: Seconds that one answer may take. A stalled server must show as an error, not as a hang.
ANSWER_TIMEOUT_S = 5.0


class Executor(Protocol):
    """What an asynchronous part needs of a store: run one command, or several in one round trip."""

    async def run(self, command: Command[T]) -> T: ...

    async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]: ...


def translate(error: RedisError | OSError) -> StoreError:
    """The driver's exception as ours."""
    if isinstance(error, AuthenticationError):
        return StoreError(
            f"Redis refused the password: {error}", hint="check the URL's user and password"
        )
    if isinstance(error, RedisConnectionError | RedisTimeoutError | BusyLoadingError | OSError):
        return StoreUnavailable(
            f"Redis did not answer: {error}",
            hint="check that it runs and that GODEL_REDIS_URL is right",
        )
    return StoreError(f"Redis refused a command: {error}")


def _url(url: str) -> str:
    # Celery spells a unix socket `redis+socket://`; redis-py spells it `unix://`.
    return url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")


def connect_sync(url: str, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> redis.Redis:
    """A client that repeats nothing by itself."""
    return redis.Redis.from_url(
        _url(url),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=answer_timeout_s,
        socket_connect_timeout=answer_timeout_s,
    )


def connect_async(
    url: str, *, answer_timeout_s: float | None = ANSWER_TIMEOUT_S
) -> redis.asyncio.Redis:
    """As `connect_sync`, for an event loop. None waits without end (for blocking pops)."""
    return redis.asyncio.Redis.from_url(
        _url(url),
        retry=AsyncRetry(NoBackoff(), 0),
        socket_timeout=answer_timeout_s,
        socket_connect_timeout=ANSWER_TIMEOUT_S,
    )


def _missing(replies: Sequence[Any]) -> list[int]:
    """Places of the calls whose script the server does not know; raises for any other failure."""
    missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    for i, reply in enumerate(replies):
        if isinstance(reply, RedisError | OSError) and i not in missing:
            raise translate(reply) from reply
    return missing


class _OwnWire(threading.local):
    """A connection per thread (and per process, after a fork) for single scripts."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._wire: Wire | None = None
        self._pid = 0

    def call(self, parts: Sequence[Argument]) -> Any:
        if self._wire is None or self._pid != os.getpid():
            self._wire = Wire(self._client)
            self._pid = os.getpid()
        try:
            return self._wire.call(parts)
        except ResponseError:
            raise
        except BaseException:
            self._wire = None
            raise

    def close(self) -> None:
        """This thread's; those of other threads go with them."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class SyncExecutor:
    """Runs commands over a blocking client. Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._own = _OwnWire(client)

    def run(self, command: Command[T]) -> T:
        """Raises: StoreUnavailable, StoreError."""
        try:
            reply = (
                self._client.execute_command(*command.parts)
                if command.script is None
                else self._run_script(command.parts, command.script.source)
            )
        except (RedisError, OSError) as error:
            raise translate(error) from error
        return command.decode(reply)

    def _run_script(self, parts: Sequence[Argument], source: str) -> Any:
        try:
            return self._own.call(parts)
        except NoScriptError:
            self._client.script_load(source)
            return self._own.call(parts)

    def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Several commands in one round trip; raises if any failed. They must not depend on each
        other: calls of scripts that the server forgot are made after all the others."""
        if not commands:
            return []
        try:
            replies = self._send(commands)
            missing = _missing(replies)
            if missing:
                for source in {c.script.source for i in missing if (c := commands[i]).script}:
                    self._client.script_load(source)
                for i, reply in zip(
                    missing, self._send([commands[i] for i in missing]), strict=True
                ):
                    replies[i] = reply
                if _missing(replies):
                    raise StoreError("Redis forgot a script between two calls", retryable=True)
        except (RedisError, OSError) as error:
            raise translate(error) from error
        return [command.decode(reply) for command, reply in zip(commands, replies, strict=True)]

    def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
        with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command.parts)
            return pipe.execute(raise_on_error=False)

    def close(self) -> None:
        self._own.close()
        self._client.close()


class AsyncExecutor:
    """Runs commands over an asyncio client."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def run(self, command: Command[T]) -> T:
        """Raises: StoreUnavailable, StoreError."""
        try:
            try:
                reply = await self._client.execute_command(*command.parts)
            except NoScriptError:
                if command.script is None:
                    raise
                await self._client.script_load(command.script.source)
                reply = await self._client.execute_command(*command.parts)
        except (RedisError, OSError) as error:
            raise translate(error) from error
        return command.decode(reply)

    async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        """Several commands in one round trip; raises if any failed. They must not depend on each
        other: calls of scripts that the server forgot are made after all the others."""
        if not commands:
            return []
        if len(commands) == 1:
            return [await self.run(commands[0])]
        try:
            replies = await self._send(commands)
            missing = _missing(replies)
            if missing:
                for source in {c.script.source for i in missing if (c := commands[i]).script}:
                    await self._client.script_load(source)
                again = await self._send([commands[i] for i in missing])
                for i, reply in zip(missing, again, strict=True):
                    replies[i] = reply
                if _missing(replies):
                    raise StoreError("Redis forgot a script between two calls", retryable=True)
        except (RedisError, OSError) as error:
            raise translate(error) from error
        return [command.decode(reply) for command, reply in zip(commands, replies, strict=True)]

    async def _send(self, commands: Sequence[Command[Any]]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command.parts)
            return await pipe.execute(raise_on_error=False)

    async def close(self) -> None:
        await self._client.aclose()


__all__ = [
    "ANSWER_TIMEOUT_S",
    "AsyncExecutor",
    "Executor",
    "ResponseError",
    "SyncExecutor",
    "connect_async",
    "connect_sync",
    "translate",
]
