"""What the instance of these stories runs.

A number comes back ten higher, a list as its sum, text as it is. `{"value": v}` gives v, after
`sleep` seconds; `{"raise": text, "until": attempt}` raises before that attempt (by default in all).
"""

from __future__ import annotations

import asyncio
from typing import Any

from godel_tasks.instances.handlers import TaskContext


class Broken(Exception):
    """What the handler raises when it is told to."""


async def act(payload: Any, context: TaskContext) -> Any:
    """On the event loop."""
    if isinstance(payload, int):
        return payload + 10
    if isinstance(payload, list):
        return sum(payload)
    if isinstance(payload, str):
        return payload
    await asyncio.sleep(payload.get("sleep", 0))
    if "raise" in payload and context.attempt < payload.get("until", 1_000):
        raise Broken(payload["raise"])
    return payload.get("value", context.attempt)
