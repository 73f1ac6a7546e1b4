"""SubmittedTask: a task as its producer submitted it, read back from the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.task import Level
from godel_tasks.store.records import Record


@dataclass(frozen=True, slots=True)
class SubmittedTask:
    """The fields have the names under which `submit_task.delay` takes them.

    `priority` is the level's name. `capabilities` are conditions in words ("memory_gb >= 16").
    Moments are in UTC; None, "" and 0 stand for what was not given.
    """

    task_id: str
    tenant_id: str
    #: Decoded: what the handler gets.
    payload: Any
    priority: str = "normal"
    capabilities: tuple[str, ...] = ()
    #: Preferences in words ("gpu = yes (weight 2)").
    prefer: tuple[str, ...] = ()
    region: str = ""
    instance: str = ""
    strategy: str = ""
    session_id: str = ""
    correlation_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: When a delayed task (`eta`, `countdown`) enters its lane.
    eta: datetime | None = None
    #: To be started by (`expires`), and to be finished by (`deadline`).
    expires: datetime | None = None
    deadline: datetime | None = None
    timeout_s: float = 0.0
    max_attempts: int = 0
    on_uncertain: str = ""
    ignore_result: bool = False


def submitted_task(record: Record, spec: str, *, due_ms: int = 0) -> SubmittedTask:
    """From its record, its class's spec ("pool\\nrequirement") and when it is due (0: at once)."""
    body = record.body
    wanted = RequirementClass.parse(record.class_id, spec).requirement
    return SubmittedTask(
        task_id=record.task_id,
        tenant_id=record.tenant_id,
        payload=body.payload if body.encoding == "bytes" else msgspec.json.decode(body.payload),
        priority=Level(record.level).name.lower(),
        capabilities=tuple(map(str, wanted.capabilities)),
        prefer=tuple(map(str, wanted.preferences)),
        region=wanted.region,
        instance=wanted.instance_id,
        strategy=wanted.strategy,
        session_id=body.session_id,
        correlation_id=body.correlation_id,
        headers=dict(body.headers),
        eta=_moment(due_ms),
        expires=_moment(record.start_by_ms),
        deadline=_moment(record.deadline_ms),
        timeout_s=body.timeout_ms / 1000,
        max_attempts=body.max_attempts,
        on_uncertain=body.on_uncertain,
        ignore_result=body.ignore_result,
    )


def _moment(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None
