"""The current app, for what Celery looks up there: signals' receivers, signatures inside others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery, _state


@contextmanager
def current(app: Celery) -> Iterator[None]:
    """Within, this is the current app: that may be another one, or none in a thread."""
    local = _state._tls  # type: ignore[attr-defined]  # noqa: SLF001 - there is no public way back
    before = local.current_app
    local.current_app = app
    try:
        yield
    finally:
        local.current_app = before
