"""Handlers: the functions that an instance runs.

A handler takes the payload (decoded JSON, or bytes) and, when it has a second parameter, a
`TaskContext`. It returns anything that JSON can carry. It may be sync (it runs on a thread) or
async (it runs on the instance's event loop).
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from godel_tasks.domain.attempt import Delivery
from godel_tasks.errors import WorkerError


class TaskContext:
    """What a handler may know of its attempt beside the payload."""

    __slots__ = ("_cancelled", "_delivery")

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._cancelled = False

    @property
    def task_id(self) -> str:
        return self._delivery.task_id

    @property
    def attempt(self) -> int:
        return self._delivery.attempt

    @property
    def tenant_id(self) -> str:
        return self._delivery.tenant_id

    @property
    def instance_id(self) -> str:
        return self._delivery.instance_id

    @property
    def session_id(self) -> str:
        """ "" when the task belongs to no session."""
        return self._delivery.session_id

    @property
    def correlation_id(self) -> str:
        return self._delivery.correlation_id

    @property
    def headers(self) -> dict[str, str]:
        return self._delivery.headers

    @property
    def cancelled(self) -> bool:
        """The attempt was cancelled or ran out of its time. A thread cannot be interrupted: a long
        sync handler looks here from time to time and returns."""
        return self._cancelled

    def cancel(self) -> None:
        """Ask the handler to stop (for the instance that runs it)."""
        self._cancelled = True

    def __repr__(self) -> str:
        return f"<TaskContext {self._delivery.key} on {self.instance_id}>"


@dataclass(frozen=True, slots=True)
class Handler:
    """A function with what the instance has to know to call it."""

    function: Callable[..., Any]
    is_async: bool
    takes_context: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Handler:
        """Look at a callable once.

        Raises:
            WorkerError: it cannot be called with one payload.
        """
        return cls(function, _is_async(function), _takes_context(function))


def load_handler(path: str) -> Handler:
    """The handler at `module:function`; `function` may have dots.

    Raises:
        WorkerError: there is no such module or function, or it is not callable with a payload.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise WorkerError(
            f"the handler {path!r} is not of the form module:function",
            hint="for example --handler mypackage.agents:summarise",
        )
    found: Any = _import(module_name, path)
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            raise WorkerError(
                f"the module {module_name!r} has no {name!r}",
                hint=f"did you mean {near[0]!r}?" if near else "is the function's name right?",
            )
        found = getattr(found, part)
    return Handler.of(found)


def _import(module_name: str, path: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            hint = "start it in the folder of the module, or set PYTHONPATH"
        else:
            hint = f"{module_name} itself imports it: install it"
        message = f"the handler {path!r} cannot be loaded: no module {error.name!r}"
        raise WorkerError(message, hint=hint) from error
    except Exception as error:
        message = f"the module {module_name!r} raised {type(error).__name__} at import: {error}"
        raise WorkerError(message, hint="fix the module, then start again") from error


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(function, "__call__", None)  # noqa: B004 - its kind is wanted, not whether
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _takes_context(function: Callable[..., Any]) -> bool:
    if not callable(function):
        raise WorkerError(f"the handler {function!r} is not callable")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins do not tell
        return False
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in by_place if p.default is p.empty]
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if len(required) > 2 or keyword_only or not (by_place or takes_any):
        name = getattr(function, "__name__", repr(function))
        raise WorkerError(
            f"the handler {name} cannot be called with a payload",
            hint="give it the parameters (payload) or (payload, context)",
        )
    if len(required) == 2:
        return True
    return len(by_place) > 1 and (
        by_place[1].name == "context" or "TaskContext" in str(by_place[1].annotation)
    )
