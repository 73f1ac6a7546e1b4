"""Ending a background task without losing a cancel of one's own."""

from __future__ import annotations

import asyncio
from typing import Any

#: A library below may swallow a cancel; it is asked again after this time.
AGAIN_S = 0.5


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel it and wait until it is over, whatever it ends with.

    `await task` in a `suppress(CancelledError)` would swallow a cancel of the caller too.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_S)
    if not task.cancelled():
        task.exception()  # looked at, so that nobody is told that it was not
