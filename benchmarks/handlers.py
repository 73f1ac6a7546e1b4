"""What the benchmarks' instances run: nothing, or as good as nothing."""

from __future__ import annotations

import time
from typing import Any


def noop(payload: Any) -> None:
    """Does nothing."""


def delay(payload: dict[str, float]) -> float:
    """Seconds since the producer's stamp `t` (wall clock, same machine)."""
    return time.time() - payload["t"]
