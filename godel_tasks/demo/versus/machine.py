"""What it was measured on, in a line."""

from __future__ import annotations

import os
import platform


def machine() -> str:
    """Cores, Python and system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, Python {platform.python_version()}, {system}"
