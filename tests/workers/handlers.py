"""What the instances of the stories run: they do as the payload says.

`{"sleep": s}`, `{"first": s}` (sleeps in the first attempt only), `{"raise": text}`,
`{"raise": text, "until": attempt}`, `{"exit": code}`, `{"return": "unserialisable"}`; the answer
names the attempt and the instance.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from godel_tasks.instances.handlers import TaskContext


class Refused(Exception):
    """What the handlers raise when they are told to."""


def _end(payload: dict[str, Any], context: TaskContext) -> Any:
    if "exit" in payload:
        os._exit(payload["exit"])
    if "raise" in payload and context.attempt < payload.get("until", 1_000):
        raise Refused(payload["raise"])
    if payload.get("return") == "unserialisable":
        return object()
    return {"attempt": context.attempt, "instance": context.instance_id}


def _pause(payload: dict[str, Any], context: TaskContext) -> float:
    first: float = payload.get("first", 0) if context.attempt == 1 else 0
    return first + float(payload.get("sleep", 0))


async def act(payload: dict[str, Any], context: TaskContext) -> Any:
    """On the event loop: can be cancelled."""
    await asyncio.sleep(_pause(payload, context))
    return _end(payload, context)


def act_sync(payload: dict[str, Any], context: TaskContext) -> Any:
    """On a thread: cannot be interrupted."""
    time.sleep(_pause(payload, context))
    return _end(payload, context)
