"""CanvasTask: signatures, groups and chunks of a task whose first argument is a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from celery import Task, group
from celery.canvas import Signature

from godel_tasks.errors import InvalidTask


def _one_argument(_task_id: str, **_fields: Any) -> None:
    """What Celery looks at to see how an errback is called: with the failed task's id."""


class CanvasTask(Task[Any, Any]):
    """The part of `SubmitTask` that makes signatures."""

    abstract = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__header__ = staticmethod(_one_argument)  # type: ignore[attr-defined]

    def signature(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *more: Any,
        **options: Any,
    ) -> Signature[Any]:
        """As Celery's. A tenant that is given by position is kept by name, so that the result of
        the task before, which Celery puts first, becomes the payload."""
        left, fields = tuple(args or ()), dict(kwargs or {})
        if left and "tenant_id" not in fields:
            fields["tenant_id"], left = left[0], left[1:]
        made: Signature[Any] = super().signature(left, fields, *more, **options)
        return made

    subtask = signature

    def starmap(self, it: Iterable[Iterable[Any]]) -> Any:
        """A `group` of a task per item (`tenant_id, payload`): they run side by side, and their
        results are the list that Celery's starmap returns."""
        return group([self.s(*item) for item in it], app=self.app)

    def chunks(self, it: Iterable[Iterable[Any]], n: int) -> Any:
        """`Chunks` of items as `starmap` takes them, `n` each; the result is a list of lists."""
        items = iter(it)
        parts = []
        while part := list(islice(items, n)):
            parts.append(self.starmap(part))
        return Chunks(self.app, parts)

    def map(self, it: Iterable[Any]) -> Any:  # noqa: ARG002 - Celery's signature
        """Raises: InvalidTask: it gives one argument, and every task needs a tenant, too."""
        raise InvalidTask(
            "map gives each task one argument, and submit_task needs tenant and payload",
            hint="use starmap([(tenant_id, payload), ...])",
        )


class Chunks:
    """Groups that are submitted one after the other."""

    def __init__(self, app: Any, parts: list[group]) -> None:
        self._app = app
        self._parts = parts

    def group(self) -> group:
        """All of them as one group, for a chain or a chord's header."""
        return group([task for part in self._parts for task in part.tasks], app=self._app)

    def apply_async(self, *_args: Any, **options: Any) -> Any:
        """A `GroupResult` of the chunks' `GroupResult`s. Raises what submit raises."""
        return self._app.GroupResult(
            self.group().freeze().id, [part.apply_async(**options) for part in self._parts]
        )

    delay = __call__ = apply_async


__all__ = ["CanvasTask", "Chunks"]
