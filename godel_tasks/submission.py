"""Submit: requests are admitted and enqueued, one script per tenant and round trip."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from godel_tasks.domain.requirement import RequirementClass, class_id, route_of
from godel_tasks.errors import (
    GodelError,
    InvalidTask,
    QueueFull,
    SessionEnded,
    StoreUnavailable,
    SubmitError,
    TaskConflict,
    UnknownTenant,
    Unroutable,
)
from godel_tasks.policy.admission import (
    AdmissionRules,
    AdmittedTask,
    TaskRequest,
    admit,
    request_of,
)
from godel_tasks.policy.matching import match, nearest
from godel_tasks.store.command import Command
from godel_tasks.store.queue import Admission, SubmitReply
from godel_tasks.store.registry import record_of

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

T = TypeVar("T")

#: Tasks in one script: one stays below a few ms of the server's time.
SCRIPT_BATCH = 500
#: A lost answer is asked for again this often; the id makes the repeat safe.
_REPEATS = 3
_REPEAT_PAUSE_S = 0.05


class Submission(msgspec.Struct, frozen=True, gc=False):
    """What became of one item of a batch: accepted under `task_id`, or refused with `error`."""

    task_id: str
    error: GodelError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def new_id() -> str:
    return str(uuid.uuid4())


def verdict(
    request: TaskRequest, task_id: str, admission: Admission, reply: SubmitReply
) -> SubmitError | None:
    """The error that the script's letter stands for; None when the task is accepted."""
    if admission in (Admission.QUEUED, Admission.EXISTS):
        return None
    if admission is Admission.FULL:
        return QueueFull(
            request.tenant_id,
            depth=reply.depth,
            limit=reply.limit,
            retry_after_s=retry_after_s(reply),
        )
    if admission is Admission.SESSION_ENDED:
        return SessionEnded(
            f"session {request.session_id!r} is being ended",
            hint="submit again once its running task has stopped, or name another session",
        )
    if admission is Admission.PAST:
        return InvalidTask(
            "its expires or deadline lies in the past", hint="check the clock of this machine"
        )
    return TaskConflict(
        f"the id {task_id!r} is taken by a task with another tenant or body",
        hint="use a new task_id, or the same fields to get the same task",
    )


def retry_after_s(reply: SubmitReply) -> float:
    """About when a hundredth of the queue has drained: its tasks times their average time, over
    what runs at once; between 0.1 and 60 s."""
    drained = max(1.0, reply.limit / 100)
    seconds = drained * max(reply.average_ms, 1.0) / 1000 / max(reply.in_flight, 1)
    return min(60.0, max(0.1, seconds))


def unknown_tenant(tenant_id: str) -> UnknownTenant:
    return UnknownTenant(
        f"no tenant is called {tenant_id!r}", hint=f"create it with `godel tenants add {tenant_id}`"
    )


def prepare(request: TaskRequest, rules: AdmissionRules) -> AdmittedTask:
    """Raises: InvalidTask."""
    return admit(request, request.task_id or new_id(), rules)


def submit_command(
    runtime: Runtime, tenant_id: str, tasks: Sequence[AdmittedTask], *, repeated: bool
) -> Command[SubmitReply]:
    """One script for tasks of one tenant. Ids of a caller's own, and repeats, are looked for among
    the settled ones too."""
    chosen = repeated or any(task.body_digest != "-" for task in tasks)
    return runtime.cell_of(tenant_id).queue.submit(
        tenant_id=tenant_id, tasks=tasks, check_settled=chosen
    )


def _lost_answer(error: StoreUnavailable, task_id: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"{error.message}; task {task_id} may or may not have been accepted",
        hint=f"submit it again with task_id={task_id!r}: it is not run twice",
    )


def repeat_lost(task_id: str, send: Callable[[bool], T]) -> T:
    """Send until an answer comes, a few times; `send` is told whether this is a repeat.

    Raises:
        StoreUnavailable: none came; the hint says what became of `task_id`.
    """
    sent = 0
    while True:
        try:
            return send(sent > 0)
        except StoreUnavailable as error:
            sent += 1
            if sent >= _REPEATS:
                raise _lost_answer(error, task_id) from error
            time.sleep(_REPEAT_PAUSE_S)


async def repeat_lost_async(task_id: str, send: Callable[[bool], Awaitable[T]]) -> T:
    """As `repeat_lost`, for an event loop; without a pause."""
    sent = 0
    while True:
        try:
            return await send(sent > 0)
        except StoreUnavailable as error:
            sent += 1
            if sent >= _REPEATS:
                raise _lost_answer(error, task_id) from error


def submit_one(runtime: Runtime, request: TaskRequest, *, require_routable: bool = False) -> str:
    """Admit and enqueue one task; its id.

    Raises:
        SubmitError: refused; nothing was written.
        StoreUnavailable: no answer; the id in the hint makes trying again safe.
    """
    task = prepare(request, runtime.rules)
    return send_one(runtime, request, task, require_routable=require_routable)


def send_one(
    runtime: Runtime, request: TaskRequest, task: AdmittedTask, *, require_routable: bool = False
) -> str:
    """Enqueue a task that was prepared; its id. Raises as `submit_one`."""
    if require_routable:
        check_routable(runtime, request.tenant_id, task)
    reply = repeat_lost(
        task.task_id,
        lambda repeated: runtime.store.run(
            submit_command(runtime, request.tenant_id, [task], repeated=repeated)
        ),
    )
    return settle_reply(request, task, reply)


def settle_reply(request: TaskRequest, task: AdmittedTask, reply: SubmitReply) -> str:
    """The id, or the error of a single submit."""
    if not reply.known:
        raise unknown_tenant(request.tenant_id)
    error = verdict(request, task.task_id, reply.admissions[0], reply)
    if error is not None:
        raise error
    return task.task_id


def submit_many(
    runtime: Runtime,
    items: Iterable[TaskRequest | Mapping[str, Any]],
    prepare: Callable[[TaskRequest, AdmissionRules], AdmittedTask] = prepare,
) -> list[Submission]:
    """Admit and enqueue many, of one or several tenants: a round trip per few hundred, an outcome
    per item, in order. Never raises for a single item.

    Raises:
        StoreUnavailable: no answer. What was sent before it is accepted.
    """
    outcomes: list[Submission] = []
    batch: list[tuple[int, TaskRequest, AdmittedTask]] = []
    for item in items:
        try:
            request = item if isinstance(item, TaskRequest) else request_of(item)
            task = prepare(request, runtime.rules)
        except SubmitError as error:
            given = item.task_id if isinstance(item, TaskRequest) else item.get("task_id")
            outcomes.append(Submission(str(given or ""), error))
            continue
        batch.append((len(outcomes), request, task))
        outcomes.append(Submission(task.task_id))
        if len(batch) >= SCRIPT_BATCH:
            _send(runtime, batch, outcomes)
            batch = []
    if batch:
        _send(runtime, batch, outcomes)
    return outcomes


def _send(
    runtime: Runtime,
    batch: list[tuple[int, TaskRequest, AdmittedTask]],
    outcomes: list[Submission],
) -> None:
    by_tenant: dict[str, list[tuple[int, TaskRequest, AdmittedTask]]] = {}
    for entry in batch:
        by_tenant.setdefault(entry[1].tenant_id, []).append(entry)
    replies: list[SubmitReply] = repeat_lost(
        batch[0][2].task_id,
        lambda repeated: runtime.store.pipeline(
            [
                submit_command(runtime, tenant, [task for _, _, task in entries], repeated=repeated)
                for tenant, entries in by_tenant.items()
            ]
        ),
    )
    for (tenant, entries), reply in zip(by_tenant.items(), replies, strict=True):
        if not reply.known:
            for place, _, task in entries:
                outcomes[place] = Submission(task.task_id, unknown_tenant(tenant))
            continue
        for (place, request, task), admission in zip(entries, reply.admissions, strict=True):
            if admission is not Admission.QUEUED:
                error_of = verdict(request, task.task_id, admission, reply)
                outcomes[place] = Submission(task.task_id, error_of)


def check_routable(runtime: Runtime, tenant_id: str, task: AdmittedTask) -> None:
    """Refuse a task that no registered instance could ever run; one more look at the registry.

    Raises:
        Unroutable: with the nearest match.
    """
    status = runtime.store.run(runtime.cell_of(tenant_id).tenants.status(tenant_id))
    if status is None:
        raise unknown_tenant(tenant_id)
    route = route_of(status.config.pool, status.config.strategy)
    wanted = RequirementClass.parse(
        class_id(route, task.spec), f"{route}\n{task.spec}", runtime.settings.strategy
    )
    fleet = runtime.store.run(runtime.registry.fleet())
    fields = runtime.store.pipeline(
        [runtime.registry.fields(instance_id=name) for name in fleet.leases]
    )
    configs = [
        record_of(name, found, end).config
        for (name, end), found in zip(fleet.leases.items(), fields, strict=True)
        if "generation" in found
    ]
    if not any(match(wanted, config).fits for config in configs):
        raise Unroutable(
            f"no registered instance can run it ({wanted})", hint=nearest(wanted, configs)
        )
