"""A module that an instance waits for in vain while it is imported: it never gets ready."""

from __future__ import annotations

import time
from typing import Any

time.sleep(600)


def work(payload: Any) -> Any:
    """Is never reached."""
    return payload
