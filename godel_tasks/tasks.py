"""submit_task, a registered Celery task that puts work into Godel's queues by itself.

`.delay()` and `.apply_async()` admit and enqueue in one round trip to Redis, with no worker in
between, and return a `GodelResult`.
"""

from __future__ import annotations

import weakref
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from godel_tasks.canvas.pinning import FOLLOWING_OPTIONS, pin
from godel_tasks.canvas.task import CanvasTask
from godel_tasks.eager import run_here
from godel_tasks.errors import GodelError, InvalidTask
from godel_tasks.policy.admission import AdmittedTask, TaskRequest, request_of
from godel_tasks.publishing import Publication, heard
from godel_tasks.results import GodelResult
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.store.executor import AsyncExecutor
from godel_tasks.submission import (
    prepare,
    repeat_lost_async,
    send_one,
    settle_reply,
    submit_command,
    submit_one,
)

SUBMIT_TASK = "godel_tasks.submit_task"

#: Celery's options that become fields of the task.
_FIELD_OPTIONS = frozenset({
    "task_id", "priority", "countdown", "eta", "expires", "headers", "ignore_result",
    "correlation_id",
})  # fmt: skip
#: Celery's options that travel with the task.
_KEPT_OPTIONS = frozenset({"root_id", "parent_id", "group_id", "group_index", "reply_to", "stamps"})


#: In the request of a task that the intake refused: the error.
REFUSAL = "godel_refusal"


def refuse_to_run(self: SubmitTask, *_args: Any, **_kwargs: Any) -> None:
    """What a worker's pool does with a message that is no task of Godel's: the intake refused it,
    or never saw it."""
    refusal = self.request.get(REFUSAL)
    if isinstance(refusal, GodelError):
        raise refusal
    raise InvalidTask(
        "submit_task does not run in a Celery worker",
        hint="call submit_task.delay(...): a dispatcher delivers it to an instance",
    )


class SubmitTask(CanvasTask):
    """The class behind `submit_task`."""

    abstract = True
    _configured_for: Any = None
    _eager_by_default = False
    #: Workers take messages of clients that send it by name into Godel's queues.
    Strategy = "godel_tasks.worker.intake:strategy"
    #: What clients did wrong is no error of the worker: logged without a traceback.
    throws = (GodelError,)

    @cached_property
    def _executors(self) -> weakref.WeakKeyDictionary[AbstractEventLoop, AsyncExecutor]:
        return weakref.WeakKeyDictionary()

    @property
    def _runtime(self) -> Runtime:
        return runtime_of(self.app)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: Any = None,
        **options: Any,
    ) -> Any:
        """As Celery's, with Godel's fields among the arguments: `tenant_id, payload` by position
        or name, the rest by name.

        Answers a `GodelResult`; with `task_always_eager` an `EagerResult`, after the handler ran.

        Raises:
            SubmitError: refused; nothing was written.
            StoreUnavailable: Redis did not answer.
        """
        del producer, shadow  # Of a message to the broker; there is none.
        options.update(task_id=task_id, link=link, link_error=link_error)
        if self._is_eager():
            return self.apply(tuple(args or ()), dict(kwargs or {}), **options)
        parent = self.app.current_worker_task
        if parent is not None:
            _inherit(parent.request, options)
        request, require_routable = self.request_from(args or (), kwargs or {}, options)
        runtime = self._runtime
        if heard():
            with Publication(self.app, self.name, request, runtime.rules) as task:
                accepted = send_one(runtime, request, task, require_routable=require_routable)
        else:
            accepted = submit_one(runtime, request, require_routable=require_routable)
        result = self.AsyncResult(accepted)
        if request.ignore_result:
            result.ignored = True
        if parent is not None and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """`apply_async` without options; raises the same."""
        return self.apply_async(args, kwargs)

    async def adelay(self, *args: Any, **kwargs: Any) -> GodelResult:
        """`delay` for an event loop: waits for Redis without blocking it."""
        request, require_routable = self.request_from(args, kwargs, {})
        if require_routable:
            raise InvalidTask("adelay does not take require_routable", hint="use delay")
        runtime = self._runtime
        if heard():
            with Publication(self.app, self.name, request, runtime.rules) as task:
                accepted = await self._asend(runtime, request, task)
        else:
            accepted = await self._asend(runtime, request, prepare(request, runtime.rules))
        return self.AsyncResult(accepted)

    async def _asend(self, runtime: Runtime, request: TaskRequest, task: AdmittedTask) -> str:
        executor = self._executor(runtime)
        reply = await repeat_lost_async(
            task.task_id,
            lambda repeated: executor.run(
                submit_command(runtime, request.tenant_id, [task], repeated=repeated)
            ),
        )
        return settle_reply(request, task, reply)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery's tracer calls: in a worker, or for `apply` right here."""
        if not self.request.is_eager:
            return self.run(*args, **kwargs)
        request, _ = self.request_from(args, kwargs, {"headers": self.request.headers})
        runtime = self._runtime
        return run_here(request, str(self.request.id), runtime.settings, runtime.rules)

    def _is_eager(self) -> bool:
        """`task_always_eager`. Celery's settings are slow to ask: what was changed at run time is
        looked at, the configured value once."""
        changes: Any = self.app.conf.changes
        if self._configured_for is not changes:
            self._configured_for = changes
            self._eager_by_default = bool(self.app.conf.task_always_eager)
        return bool(changes.get("task_always_eager", self._eager_by_default))

    def _executor(self, runtime: Runtime) -> AsyncExecutor:
        loop = get_running_loop()
        if loop not in self._executors:
            self._executors[loop] = runtime.async_store()
        return self._executors[loop]

    def AsyncResult(self, task_id: str, **_kwargs: Any) -> GodelResult:  # noqa: N802 - Celery's name
        return GodelResult(task_id, backend=self.backend, app=self.app, task_name=self.name)

    def request_from(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[TaskRequest, bool]:
        """What a call asks for, and whether it has to be routable.

        Raises:
            InvalidTask: it cannot be asked for.
        """
        if len(args) > 2:
            raise InvalidTask(
                f"{len(args)} positional arguments were given",
                hint="only tenant_id and payload go by position, the rest by name",
            )
        fields = dict(kwargs)
        names = [name for name in ("tenant_id", "payload") if name not in fields]
        if len(args) > len(names):
            raise InvalidTask("tenant_id or payload is given twice")
        fields.update(zip(names, args, strict=False))
        require_routable = bool(fields.pop("require_routable", False))
        kept = {}
        followed = False
        for option, value in options.items():
            if value is None:
                continue
            if option in _FIELD_OPTIONS:
                fields[option] = value
            elif option in _KEPT_OPTIONS and value:
                kept[option] = value
            elif option == "time_limit":
                fields.setdefault("timeout", value)
            elif option in FOLLOWING_OPTIONS and value:
                followed = True
        if kept:
            fields["celery"] = kept
        if self.ignore_result:
            fields.setdefault("ignore_result", True)
        request = request_of(fields)
        if followed:
            request.canvas = pin(self.app, self.name, options)
        return request, require_routable


def _inherit(parent: Any, options: dict[str, Any]) -> None:
    """Submitted within an ordinary task: its ids are this one's parent and root."""
    options["root_id"] = options.get("root_id") or parent.root_id or parent.id
    options["parent_id"] = options.get("parent_id") or parent.id
