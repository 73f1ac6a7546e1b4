"""Chords: a task's part in one, counted where Celery's workers count theirs.

Celery's Redis backend keeps a chord's parts under the id of its group, each member once, and the
one that brings the last part takes a claim, sends the body and marks the chord as done. A publisher
that dies in between leaves its claim behind for some seconds: who publishes the part again waits
until the chord is done or the claim is free.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.app.task import Context

from godel_tasks.canvas.pinning import signature_of
from godel_tasks.canvas.sending import PASSING, TryLater

#: Celery allows joins by a flag of the process: two at once would undo each other's.
_joining = threading.Lock()


def return_part(
    app: Celery, task_id: str, options: Mapping[str, Any], state: str, result: Any
) -> None:
    """Count a member's end (`result`: its value or its exception); the last one sends the body.
    May be repeated.

    Raises:
        TryLater: somebody else is about to send the body, or it cannot be sent now.
    """
    group_id = options.get("group_id")
    if not group_id:
        return
    backend: Any = app.backend
    claim, size = (backend.get_key_for_group(group_id, part) for part in (".c", ".s"))
    body = signature_of(app, options["chord"])
    # What Celery calls once it has the claim.
    body.delay = _Body(body, lambda: backend.client.delete(claim))
    request = Context(
        id=task_id, group=group_id, group_index=options.get("group_index"), chord=body
    )
    with _joining:
        backend.on_chord_part_return(request, state, result)
    holder, left = backend.client.get(claim), backend.client.exists(size)
    if left and holder not in (None, b"done", "done"):
        raise TryLater(f"the chord of group {group_id} is being completed by somebody else")


class _Body:
    """A chord's body as Celery sends it; a failure that passes gives the claim back, so that the
    chord stays as it is."""

    def __init__(self, body: Any, unclaim: Any) -> None:
        self._body = body
        self._unclaim = unclaim

    def __call__(self, results: list[Any]) -> Any:
        try:
            return self._body.apply_async((results,))
        except PASSING as error:
            self._unclaim()
            raise TryLater(str(error)) from error
