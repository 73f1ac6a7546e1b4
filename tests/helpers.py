"""What many tests need: waiting for something to become true, without sleeping for luck."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, overload

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T | Literal[False] | None],
    *,
    description: str,
    timeout: float = 5.0,
    every: float = 0.01,
) -> T:
    """Call `predicate` every `every` seconds until it is truthy, and return what it returned.

    After `timeout` seconds fail with `description` and the last value seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {description} (last: {value!r})")
        time.sleep(every)


@overload
async def wait_until_async(
    predicate: Callable[[], Coroutine[Any, Any, T | None]],
    *,
    description: str,
    timeout: float = 5.0,
    every: float = 0.01,
) -> T: ...


@overload
async def wait_until_async(
    predicate: Callable[[], T | Literal[False] | None],
    *,
    description: str,
    timeout: float = 5.0,
    every: float = 0.01,
) -> T: ...


async def wait_until_async(
    predicate: Callable[[], Any],
    *,
    description: str,
    timeout: float = 5.0,
    every: float = 0.01,
) -> Any:
    """`wait_until` on an event loop; `predicate` may be synchronous or not."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {description} (last: {value!r})")
        await asyncio.sleep(every)
