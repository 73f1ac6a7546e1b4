"""One task as it stands: from the cell while it is not settled, then from its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from godel_tasks.domain.requirement import PIN, RequirementClass
from godel_tasks.domain.task import Level, TaskState
from godel_tasks.errors import ResultExpired, TaskNotFound
from godel_tasks.policy.matching import nearest
from godel_tasks.store.records import HeldTask, IndexEntry, Record
from godel_tasks.store.sessions import status_of
from godel_tasks.views.instances import all_instances
from godel_tasks.views.results import Ending, endings

if TYPE_CHECKING:
    from godel_tasks.dispatch.config import CellStore
    from godel_tasks.runtime import Runtime

#: Records of a lane that are read at once, looking for one.
_PAGE = 500
#: A task further back in its lane than this is shown without what only its record knows.
_DEEPEST = 20_000


class TaskView(msgspec.Struct, kw_only=True):
    """What is known of a task. Times in ms on Redis's clock, 0 where there is none.

    `condition` is "UNROUTABLE" or ""; `condition_text` then names the nearest instance.
    """

    task_id: str
    state: TaskState
    tenant_id: str
    condition: str = ""
    condition_text: str = ""
    class_id: str = ""
    class_text: str = ""
    level: str = ""
    #: Tasks ahead of it in its lane, or in its session; None when it does not wait.
    position: int | None = None
    #: Executions so far, the running one included.
    attempts: int = 0
    instance_id: str = ""
    dispatcher: str = ""
    cancel_asked: bool = False
    retrying: bool = False
    #: That its session was moved, and why.
    session_note: str = ""
    #: The task that its session is at, when it waits behind that one.
    behind: str = ""
    #: Why it is on hold.
    evidence: str = ""
    #: What its running attempt has said so far.
    said: str = ""
    record: Record | None = None
    claimed_ms: int = 0
    #: When a delayed task enters its lane, or a hold ends.
    due_ms: int = 0
    ending: Ending | None = None
    #: When it was put among the dead letters.
    buried_ms: int = 0
    #: Its class, while it waits.
    wanted: RequirementClass | None = None
    #: Which claim sent it where it runs or ran: dispatcher, batch, when (ms), class.
    routed: tuple[str, int, int, str] | None = None


def task_view(runtime: Runtime, task_id: str) -> TaskView:
    """A task, wherever it is.

    Raises:
        TaskNotFound: no cell knows it, and no result of it is kept.
        ResultExpired: it was settled, and only that is still known.
    """
    entries = runtime.store.pipeline([cell.lookup.entry(task_id) for cell in runtime.cells])
    for cell, entry in zip(runtime.cells, entries, strict=True):
        if entry is not None:
            return _unsettled(runtime, cell, task_id, entry)
    return _settled(runtime, task_id)


def _unsettled(runtime: Runtime, cell: CellStore, task_id: str, entry: IndexEntry) -> TaskView:
    view = TaskView(
        task_id=task_id,
        state=entry.state,
        tenant_id=entry.tenant_id,
        class_id=entry.class_id,
        level=Level(entry.level).name.lower(),
        dispatcher="" if entry.owner == "-" else entry.owner,
        cancel_asked=entry.cancel_asked,
        retrying=entry.retrying,
    )
    specs, unroutable = runtime.store.pipeline([cell.leases.classes(), cell.lookup.unroutable()])
    wanted = RequirementClass.parse(
        entry.class_id, specs.get(entry.class_id, ""), runtime.settings.strategy
    )
    view.class_text = str(wanted) if entry.class_id in specs else ""
    if PIN in entry.class_id:
        _add_session(runtime, cell, view, entry)
    if entry.behind:
        view.record = runtime.store.run(cell.lookup.parked(task_id))
    elif entry.state is TaskState.WAITING:
        view.wanted = wanted
        _add_waiting(runtime, cell, view, entry)
        if entry.class_id in unroutable:
            view.condition = "UNROUTABLE"
            view.condition_text = nearest(wanted, (i.config for i in all_instances(runtime)))
    elif entry.state in (TaskState.DELAYED, TaskState.ON_HOLD):
        _add_parked(runtime, cell, view)
    else:
        held: HeldTask | None = runtime.store.run(cell.lookup.held(task_id, entry.owner))
        if held is not None:
            view.record, view.claimed_ms = held.record, held.claimed_ms
            view.routed = held.routed
            view.instance_id, view.attempts = held.instance_id, held.record.attempt
            said = runtime.store.run(cell.progress.get(task_id))
            if said is not None and said.attempt == view.attempts:
                view.said = said.text
    return view


def _add_session(runtime: Runtime, cell: CellStore, view: TaskView, entry: IndexEntry) -> None:
    sessions, task_id = cell.sessions, view.task_id
    name = runtime.store.run(sessions.name_of(task_id))
    view.session_note = runtime.store.run(sessions.notes([task_id])).get(task_id, "")
    if entry.behind and name:
        place = runtime.store.run(sessions.place_behind(name=name, task_id=task_id))
        status = status_of(name, runtime.store.pipeline(sessions.fields(name)))
        # The head is ahead of it, too.
        view.position = None if place is None else place + 1
        view.behind = status.head if status is not None else ""


def _add_waiting(runtime: Runtime, cell: CellStore, view: TaskView, entry: IndexEntry) -> None:
    head = runtime.store.run(cell.lookup.lane_head(entry))
    if head is None:  # claimed since we looked
        return
    view.position = max(0, entry.sequence - head)
    view.record = _in_lane(runtime, cell, view.task_id, entry, guess=view.position)
    if view.record is not None:
        view.attempts = view.record.attempt - 1


def _in_lane(
    runtime: Runtime, cell: CellStore, task_id: str, entry: IndexEntry, *, guess: int
) -> Record | None:
    """Its record: near where its sequence says (hand-backs leave gaps), else anywhere."""
    starts = [max(0, guess - _PAGE // 2), *range(0, _DEEPEST, _PAGE)]
    for first in starts:
        page = runtime.store.run(
            cell.lookup.lane(entry.tenant_id, entry.class_id, entry.level, first, first + _PAGE - 1)
        )
        for record in page:
            if record.task_id == task_id and record.sequence == entry.sequence:
                return record
        if len(page) < _PAGE and first == 0:
            return None
    return None


def _add_parked(runtime: Runtime, cell: CellStore, view: TaskView) -> None:
    record, evidence, due_ms = runtime.store.pipeline(
        [
            cell.lookup.parked(view.task_id),
            cell.lookup.evidence(view.task_id),
            cell.lookup.due_at(view.task_id),
        ]
    )
    view.record, view.evidence, view.due_ms = record, evidence, due_ms or 0
    if record is not None:
        ran = view.state is TaskState.ON_HOLD
        view.attempts = record.attempt if ran else record.attempt - 1


def _settled(runtime: Runtime, task_id: str) -> TaskView:
    ending = endings(runtime, [task_id]).get(task_id)
    view = TaskView(task_id=task_id, state=TaskState.FAILED, tenant_id="")
    for cell in runtime.cells:
        record, buried_ms = runtime.store.pipeline(
            [cell.lookup.dead_letter(task_id), cell.lookup.buried_at(task_id)]
        )
        if record is not None:
            view.record, view.buried_ms, view.attempts = record, buried_ms or 0, record.attempt
            view.tenant_id, view.class_id = record.tenant_id, record.class_id
            view.level = Level(record.level).name.lower()
    if ending is None:
        if view.record is not None:
            return view
        raise _gone(runtime, task_id)
    view.state, view.ending = ending.state, ending
    view.tenant_id = ending.tenant_id or view.tenant_id
    view.routed = ending.routed
    view.session_note = ending.session_note
    view.instance_id, view.attempts = ending.instance_id, ending.attempts or view.attempts
    return view


def _gone(runtime: Runtime, task_id: str) -> ResultExpired | TaskNotFound:
    states: list[Any] = runtime.store.pipeline(
        [cell.lookup.settled(task_id) for cell in runtime.cells]
    )
    for state in states:
        if state is not None:
            return ResultExpired(
                f"task {task_id} ended as {state.value}, and no result of it is kept",
                hint="results are kept for GODEL_RESULT_EXPIRES_S, and not for ignore_result",
            )
    return TaskNotFound(
        f"no task {task_id} is known",
        hint="look with `godel tasks list`; results are kept for GODEL_RESULT_EXPIRES_S",
    )
