"""What the instances of the intake's stories run."""

from __future__ import annotations

import asyncio
from typing import Any

from godel_tasks.instances.handlers import TaskContext


async def echo(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Sleeps `payload["sleep"]` seconds, and says what arrived."""
    await asyncio.sleep(float(payload.get("sleep", 0)))
    return {
        "payload": payload,
        "task": context.task_id,
        "tenant": context.tenant_id,
        "headers": dict(context.headers),
    }
