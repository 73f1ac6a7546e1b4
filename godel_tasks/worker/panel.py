"""Panel: Godel's remote control commands, in the place of Celery's own where those would be wrong
about Godel's tasks.

Imported in workers only: Celery's registry of commands is one per process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import structlog
from celery.worker.control import Panel

from godel_tasks.errors import GodelError
from godel_tasks.worker import inspecting, revoking, steering
from godel_tasks.worker.commands import describe_commands
from godel_tasks.worker.remote import Remote, remote_of

log = structlog.get_logger("godel.control")

#: A command: this worker's `Remote`, Celery's state of the worker, and what was sent along.
Handler = Callable[..., Any]


def _commands() -> Mapping[str, Handler]:
    return {
        "revoke": revoking.revoke,
        "terminate": revoking.terminate,
        "revoke_by_stamped_headers": revoking.revoke_by_stamped_headers,
        "active": inspecting.active,
        "dump_active": inspecting.active,
        "reserved": inspecting.reserved,
        "dump_reserved": inspecting.reserved,
        "query_task": inspecting.query_task,
        "godel_instances": inspecting.godel_instances,
        "godel_drain": steering.godel_drain,
        "godel_undrain": steering.godel_undrain,
        "godel_pause": steering.godel_pause,
        "godel_resume": steering.godel_resume,
    }


def _in_godels_workers(name: str, handler: Handler, celerys: Handler | None) -> Handler:
    """Another app's worker in this process (in a test, mostly) keeps Celery's commands."""

    @wraps(handler)
    def handle(state: Any, *args: Any, **kwargs: Any) -> Any:
        remote: Remote | None = remote_of(state)
        if remote is None:
            if celerys is None:
                return {"error": f"this worker is not Godel's: it knows no {name}"}
            return celerys(state, *args, **kwargs)
        try:
            return handler(remote, state, *args, **kwargs)
        except GodelError as error:
            # Who asked may not wait for answers, as `app.control.revoke` does not.
            log.warning("control.failed", command=name, error=error.message, hint=error.hint)
            return {"error": str(error)}

    return handle


_HANDLERS = {
    name: _in_godels_workers(name, handler, Panel.data.get(name))
    for name, handler in _commands().items()
}


def install() -> None:
    """Put them in place. May be repeated."""
    Panel.data.update(_HANDLERS)
    describe_commands()
