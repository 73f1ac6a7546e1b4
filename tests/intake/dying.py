"""`celery -A tests.intake.dying worker`: a control worker that is killed between the enqueue of a
task and the acknowledgement of its message."""

from __future__ import annotations

import os
import signal
from typing import Any

from godel_tasks.worker.intake import Intake
from workers.control import app

__all__ = ["app"]


def _die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


setattr(Intake, "_acknowledge", _die)  # noqa: B010 - assigned, it would be a type error
