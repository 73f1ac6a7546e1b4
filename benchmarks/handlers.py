"""What the benchmarks' instances run: nothing, as good as nothing, or a while of nothing."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from godel_tasks.instances.handlers import TaskContext

#: How much longer a slow instance takes.
SLOWER = 20


def noop(payload: Any) -> None:
    """Does nothing."""


def delay(payload: dict[str, float]) -> float:
    """Seconds since the producer's stamp `t` (wall clock, same machine)."""
    return time.time() - payload["t"]


async def turn(payload: dict[str, Any], context: TaskContext) -> int:
    """Takes `s` seconds, twenty times as many while a file of the instance's name lies in the
    folder `slow`; answers with its number."""
    slow = (Path(payload["slow"]) / context.instance_id).exists()
    await asyncio.sleep(payload["s"] * (SLOWER if slow else 1))
    number: int = payload["n"]
    return number
