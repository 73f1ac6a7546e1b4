"""Following: what follows a task's end is done, by Celery's rules, by who publishes that end.

Everything here may be done again by somebody else, for the outbox entry goes only afterwards:
tasks of Godel's are admitted once (their ids are pinned), messages to ordinary tasks carry the same
id, a chord counts a member once. It blocks: call it on a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import structlog
from celery import Celery, states
from celery.canvas import _chain, chord, group
from celery.utils.functional import maybe_list

from godel_tasks.canvas.chords import return_part
from godel_tasks.canvas.current import current
from godel_tasks.canvas.pinning import signature_of, unpin
from godel_tasks.canvas.sending import PASSING, TryLater, sending_once
from godel_tasks.dispatch.outcome import Outcome, celery_error

log = structlog.get_logger("godel.canvas")


class Follower:
    """Applies what follows through a Celery app. One per process; not for two threads at once."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        #: Messages sent for tasks whose following was cut off, by the task.
        self._sent: dict[str, set[str]] = {}

    def follow(self, task_id: str, outcome: Outcome, canvas: bytes) -> bool:
        """Do all that follows; False when some of it has to wait: then call again, later."""
        options = unpin(canvas)
        sent = self._sent.pop(task_id, set())
        try:
            with sending_once(sent), current(self._app):
                if outcome.letter == "S":
                    self._succeeded(task_id, outcome, options)
                else:
                    self._failed(task_id, outcome, options)
        except (TryLater, *PASSING) as error:
            log.info("canvas.waits", task=task_id, reason=str(error))
            self._sent[task_id] = sent
            return False
        except Exception as error:
            # What cannot be read or counted today cannot be tomorrow; all else goes on.
            log.error("canvas.lost", task=task_id, error=_told(error))
        return True

    def _succeeded(self, task_id: str, outcome: Outcome, options: Mapping[str, Any]) -> None:
        value = msgspec.json.decode(outcome.result or b"null")
        family = {"parent_id": task_id, "root_id": options.get("root_id") or task_id}
        for callback in options.get("link", ()):
            self._apply(callback, value, [], family)
        *later, following = options.get("chain") or (None,)
        if following is not None:
            self._apply(following, value, later, family)
        if "chord" in options:
            return_part(self._app, task_id, options, states.SUCCESS, value)

    def _failed(self, task_id: str, outcome: Outcome, options: Mapping[str, Any]) -> None:
        state, stored = celery_error(outcome)
        error = self._app.backend.exception_to_python(stored)
        if "chord" in options:
            return_part(self._app, task_id, options, state, error)
        for signature in reversed(options.get("chain", ())):
            self._fail(signature, state, error, outcome.traceback)
        if state == states.FAILURE:
            family = {"parent_id": task_id, "root_id": options.get("root_id") or task_id}
            for errback in options.get("link_error", ()):
                self._apply(errback, task_id, [], family)

    def _apply(
        self, given: Mapping[str, Any], value: Any, later: list[Any], family: Mapping[str, Any]
    ) -> None:
        """Apply a signature to a value, with what is chained after it. One that can never be
        applied fails, and what follows it does.

        Raises:
            TryLater, and those of `PASSING`.
        """
        signature = signature_of(self._app, given)
        try:
            signature.apply_async((value,), chain=later or None, **family)
        except PASSING:
            raise
        except Exception as error:
            task_id = family["parent_id"]
            log.warning("canvas.refused", follows=task_id, name=signature.task, error=_told(error))
            for each in (signature, *reversed(later)):
                self._fail(each, states.FAILURE, error)
            for name, errback in self._errbacks(signature):
                self._apply(errback, name, [], family)

    def _fail(self, given: Any, state: str, error: BaseException, traceback: str = "") -> None:
        """A signature that is never going to run ends like what it was to follow."""
        for task in tasks_of(given, self._app):
            self._app.backend.store_result(task.id, error, state, traceback=traceback or None)
            if "chord" in task.options:
                return_part(self._app, task.id, task.options, state, error)

    def _errbacks(self, given: Any) -> Iterator[tuple[str, Any]]:
        for task in tasks_of(given, self._app):
            for errback in maybe_list(task.options.get("link_error")) or ():
                yield task.id, errback


def _told(error: Exception) -> str:
    # No traceback: its locals are payloads.
    return f"{type(error).__name__}: {error}"


def tasks_of(given: Any, app: Celery) -> Iterator[Any]:
    """The tasks whose ends are a signature's end; of a chain all of them."""
    signature = signature_of(app, given)
    if isinstance(signature, group | _chain):
        for each in signature.tasks:
            yield from tasks_of(each, app)
    elif isinstance(signature, chord):
        yield from tasks_of(signature.body, app)
    elif signature.id:
        yield signature


__all__ = ["Follower", "tasks_of"]
