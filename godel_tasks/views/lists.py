"""Lists of tasks: unsettled ones by a scan of the index, dead letters by when they were buried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from godel_tasks.domain.task import TaskState
from godel_tasks.store.records import IndexEntry, Record

if TYPE_CHECKING:
    from godel_tasks.dispatch.config import CellStore
    from godel_tasks.runtime import Runtime

#: Index fields, or dead letters, per round trip.
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class ListedTask:
    """An unsettled task; `unroutable` when no registered instance could ever run it."""

    task_id: str
    entry: IndexEntry
    unroutable: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was given up, kept for a person to look at. `buried_ms` on Redis's clock."""

    cell: CellStore
    task_id: str
    buried_ms: int
    record: Record


def unsettled(
    runtime: Runtime,
    *,
    tenant_id: str = "",
    state: TaskState | None = None,
    unroutable_only: bool = False,
) -> Iterator[ListedTask]:
    """Unsettled tasks, in no order. One that changes state meanwhile may come in either; one that
    is there all the time comes once."""
    for cell in runtime.cells:
        classes = runtime.store.run(cell.lookup.unroutable())
        cursor, seen = 0, set[str]()
        while True:
            cursor, page = runtime.store.run(cell.lookup.entries(cursor, _PAGE))
            for task_id, entry in page.items():
                # A scan may show a field twice while the hash grows or shrinks.
                if task_id in seen or (tenant_id and entry.tenant_id != tenant_id):
                    continue
                seen.add(task_id)
                stuck = entry.state is TaskState.WAITING and entry.class_id in classes
                if (state is None or entry.state is state) and (stuck or not unroutable_only):
                    yield ListedTask(task_id, entry, stuck)
            if cursor == 0:
                break


def dead_letters(runtime: Runtime, *, tenant_id: str = "") -> Iterator[DeadLetter]:
    """Dead letters, the newest of each cell first."""
    for cell in runtime.cells:
        first = 0
        while True:
            page = runtime.store.run(cell.lookup.dead_letters(first, first + _PAGE - 1))
            records = runtime.store.pipeline(
                [cell.lookup.dead_letter(task_id) for task_id, _ in page]
            )
            for (task_id, buried_ms), record in zip(page, records, strict=True):
                if record is not None and tenant_id in ("", record.tenant_id):
                    yield DeadLetter(cell, task_id, buried_ms, record)
            if len(page) < _PAGE:
                break
            first += _PAGE
