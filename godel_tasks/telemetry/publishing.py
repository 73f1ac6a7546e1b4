"""The producer's span, which Celery's instrumentation for OpenTelemetry makes and ends by signals.

It begins with `before_task_publish` and ends with `after_task_publish`. Celery sends the second one
only for what was sent, so the span of a refused task would stay the current one of its thread, and
would never be exported. Here it is ended, with the error.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any


def end_refused_span(task: Any, task_id: str, error: BaseException) -> None:
    """End the span of a publish that came to nothing; does nothing without the instrumentation."""
    utils = sys.modules.get("opentelemetry.instrumentation.celery.utils")
    if utils is None:
        return
    found = utils.retrieve_context(task, task_id, is_publish=True)
    if found is None:
        return
    utils.detach_context(task, task_id, is_publish=True)
    _span, activation, _token = found
    with contextlib.suppress(type(error)):
        activation.__exit__(type(error), error, error.__traceback__)
