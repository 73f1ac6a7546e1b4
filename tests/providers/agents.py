"""What instances of these stories serve."""

from __future__ import annotations

import asyncio
from typing import Any


async def work(payload: Any) -> Any:
    """Sleep so many seconds."""
    await asyncio.sleep(float(payload or 0))
    return payload
