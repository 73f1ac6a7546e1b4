"""Replaying a dead letter: the same work again, as a new task.

The new id derives from the old one and from when it was buried: a replay that was cut off between
the submit and the removal, and is done again, is the same task.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

from godel_tasks.domain.requirement import HARD, base_class, digest_of
from godel_tasks.domain.session import Affinity, session_terms
from godel_tasks.domain.task import NewTask, encode_body
from godel_tasks.errors import QueueFull, TaskError, TaskNotFound, TaskStateConflict
from godel_tasks.store.deadletters import DeadLetterCommands
from godel_tasks.store.queue import Admission
from godel_tasks.submission import retry_after_s, unknown_tenant

if TYPE_CHECKING:
    from godel_tasks.dispatch.config import CellStore
    from godel_tasks.runtime import Runtime
    from godel_tasks.store.records import Record

_NAMESPACE = uuid.UUID("7e3a9d0c-8f5b-5d52-9c1e-6a4f2b8d7c10")


def replay_id(task_id: str, buried_ms: int) -> str:
    """The id of a dead letter's replay."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_id} {buried_ms}"))


def replay_in_cells(runtime: Runtime, task_id: str) -> str:
    """Submit a dead letter again and drop it; the new task's id. A deadline that has passed does
    not come along.

    Raises:
        TaskNotFound: no cell has such a dead letter.
        TaskStateConflict: what it asked of an instance is not known any more.
        QueueFull, UnknownTenant: its tenant takes nothing; the dead letter stays.
    """
    for cell in runtime.cells:
        record, buried_ms = runtime.store.pipeline(
            [cell.lookup.dead_letter(task_id), cell.lookup.buried_at(task_id)]
        )
        if record is not None:
            new_id = replay_id(task_id, buried_ms or 0)
            _submit(runtime, cell, record, new_id)
            runtime.store.run(DeadLetterCommands(cell.cell).drop([task_id]))
            return new_id
    raise TaskNotFound(
        f"no dead letter {task_id} is kept", hint="look with `godel tasks list --state dead`"
    )


def _submit(runtime: Runtime, cell: CellStore, record: Record, new_id: str) -> None:
    spec = _spec(runtime, cell, record)
    now_ms = runtime.store.run(runtime.registry.fleet()).now_ms
    body = encode_body(record.body)
    task = NewTask(
        new_id,
        record.level,
        digest_of(spec),
        spec,
        body,
        deadline=str(record.deadline_ms if record.deadline_ms > now_ms else 0),
        # Remembered for a day after its end, as ids are that a caller chose.
        body_digest=hashlib.blake2b(new_id.encode() + body, digest_size=9).hexdigest(),
        session=_session(runtime, record),
    )
    reply = runtime.store.run(
        cell.queue.submit(tenant_id=record.tenant_id, tasks=[task], check_settled=True)
    )
    if not reply.known:
        raise unknown_tenant(record.tenant_id)
    admission = reply.admissions[0]
    if admission is Admission.FULL:
        raise QueueFull(
            record.tenant_id,
            depth=reply.depth,
            limit=reply.limit,
            retry_after_s=retry_after_s(reply),
        )
    if admission not in (Admission.QUEUED, Admission.EXISTS):
        raise TaskError(f"the replay {new_id} was refused", hint="try again")


def _session(runtime: Runtime, record: Record) -> str:
    if not record.body.session_id:
        return ""
    affinity = Affinity.HARD if record.class_id.endswith(HARD) else Affinity.SOFT
    return session_terms(record.body.session_id, affinity, runtime.rules.session_ttl_ms)


def _spec(runtime: Runtime, cell: CellStore, record: Record) -> str:
    digest = base_class(record.class_id).rpartition(".")[2]
    if digest == digest_of(""):
        return ""
    stored = runtime.store.run(DeadLetterCommands(cell.cell).requirement(record.class_id))
    spec = (stored or "").partition("\n")[2]
    if digest_of(spec) != digest:
        raise TaskStateConflict(
            f"what task {record.task_id} asked of an instance is not known any more",
            hint="submit it again yourself; `godel tasks show ID --payload` has its payload",
        )
    return spec
