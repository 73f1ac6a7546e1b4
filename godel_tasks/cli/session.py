"""A command's way to the store: settings, clients, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from godel_tasks.settings import load_settings

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime


@contextmanager
def opened() -> Iterator[Runtime]:
    """The runtime of one command; what it connected to is closed at the end.

    Raises:
        SettingsError: with every problem there is.
        StoreUnavailable: nothing runs to attach to, or it does not answer.
    """
    from godel_tasks.runtime import Runtime

    runtime = Runtime(load_settings())
    runtime.urls  # noqa: B018  (says at once when nothing runs)
    try:
        yield runtime
    finally:
        # Only what was asked for has been made.
        for name in ("store", "results"):
            executor = vars(runtime).get(name)
            if executor is not None:
                executor.close()
