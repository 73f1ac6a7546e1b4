"""Cancelling by stamp: every unsettled task that carries one of the given stamps.

Stamps are in a task's body, which no index knows: this reads every unsettled task, a page at a
time. For an operator's rare command, not for a program's loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from godel_tasks.cancelling import cancel_many
from godel_tasks.domain.task import TaskState
from godel_tasks.store.queue import CancelReply
from godel_tasks.store.records import HeldTask, IndexEntry, Record

if TYPE_CHECKING:
    from godel_tasks.dispatch.config import CellStore
    from godel_tasks.runtime import Runtime

#: Entries of the index, or records of a lane, per round trip.
_PAGE = 500

_PARKED = (TaskState.DELAYED, TaskState.ON_HOLD)

Stamps = Mapping[str, Any]
#: Tenant, class and level.
Lane = tuple[str, str, int]


def cancel_stamped(
    runtime: Runtime, wanted: Stamps, *, who: str, running_too: bool
) -> dict[str, CancelReply]:
    """Cancel what carries any of the stamps `wanted` (name → a value, or several). May be repeated.
    Tasks that are submitted meanwhile, or later, are not looked at.

    Raises:
        StoreUnavailable: Redis did not answer; some may be cancelled.
    """
    found: dict[str, CancelReply] = {}
    for cell in runtime.cells:
        for records in _records(runtime, cell, running_too=running_too):
            task_ids = [record.task_id for record in records if carries(record, wanted)]
            found |= cancel_many(runtime, task_ids, who=who, running_too=running_too)
    return found


def carries(record: Record, wanted: Stamps) -> bool:
    """Whether a task has a stamp of one of these names with one of its values."""
    stamps: Stamps = record.body.celery.get("stamps") or {}
    return any(
        value in _several(values)
        for name, values in wanted.items()
        for value in _several(stamps.get(name))
    )


def _several(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)


def _records(runtime: Runtime, cell: CellStore, *, running_too: bool) -> Iterator[Sequence[Record]]:
    """What is parked, then what waits, then what runs: a task moves that way while we look."""
    look, lanes = cell.lookup, dict[Lane, None]()
    for page in _index(runtime, cell):
        lanes |= {
            (e.tenant_id, e.class_id, e.level): None
            for e in page.values()
            if e.state is TaskState.WAITING and not e.behind
        }
        parked = [i for i, e in page.items() if e.state in _PARKED or e.behind]
        records: list[Record | None] = runtime.store.pipeline([look.parked(i) for i in parked])
        yield [record for record in records if record is not None]
    for lane in lanes:
        yield from _lane(runtime, cell, lane)
    for page in _index(runtime, cell) if running_too else ():
        owned = [(i, e.owner) for i, e in page.items() if e.owner != "-"]
        held: list[HeldTask | None] = runtime.store.pipeline([look.held(*it) for it in owned])
        yield [task.record for task in held if task is not None]


def _index(runtime: Runtime, cell: CellStore) -> Iterator[dict[str, IndexEntry]]:
    cursor = 0
    while True:
        cursor, page = runtime.store.run(cell.lookup.entries(cursor, _PAGE))
        yield page
        if cursor == 0:
            return


def _lane(runtime: Runtime, cell: CellStore, lane: Lane) -> Iterator[tuple[Record, ...]]:
    """From its end to its head: what is claimed meanwhile is taken at the head, and moves nothing
    that is still to be read out of reach."""
    last = -1
    while True:
        records = runtime.store.run(cell.lookup.lane(*lane, last - _PAGE + 1, last))
        yield records
        if len(records) < _PAGE:
            return
        last -= _PAGE
