"""What the instances of chaos run: a few milliseconds of nothing, and now and then an error."""

from __future__ import annotations

import asyncio
from typing import Any


class Planned(Exception):
    """Raised because the payload says so."""


async def work(payload: dict[str, Any]) -> dict[str, Any]:
    """`ms`: how long; `fail`: raise at the end."""
    await asyncio.sleep(payload["ms"] / 1000)
    if payload.get("fail"):
        raise Planned(f"planned: {payload['n']}")
    return {"n": payload["n"]}
