"""A story that INT, TERM and HUP end in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def until_interrupted(story: Coroutine[Any, Any, T], say: Callable[[str], None]) -> T | None:
    """What the story returns; None after INT, TERM or HUP. It has ended in either case."""
    loop = asyncio.get_running_loop()
    telling = asyncio.ensure_future(story)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            say("stopping")
            telling.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt)
    try:
        return await telling
    except asyncio.CancelledError:
        return None
