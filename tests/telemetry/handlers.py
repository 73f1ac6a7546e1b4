"""What the instances of the traced stories run."""

from __future__ import annotations

import asyncio
from typing import Any

from godel_tasks.instances.handlers import TaskContext


async def echo_trace(payload: dict[str, Any], context: TaskContext) -> Any:
    """Answers what of the trace came along; raises while `fail` attempts are not over."""
    await asyncio.sleep(payload.get("sleep", 0))
    if context.attempt <= payload.get("fail", 0):
        raise ValueError("as it was told: a secret")
    return {"attempt": context.attempt, "headers": context.headers}
