"""Looking at tasks without touching them: for results, the CLI and later the doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from godel_tasks.domain.task import STATE_OF_LETTER, TaskState
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, plain, text
from godel_tasks.store.records import (
    HeldTask,
    IndexEntry,
    Record,
    parse_held,
    parse_index,
    parse_record,
)


def _texts(reply: dict[Any, Any]) -> dict[str, str]:
    return {text(k): text(v) for k, v in reply.items()}


class LookupCommands(CellCommands):
    """Reads. None of them is on the hot path."""

    def entry(self, task_id: str) -> Command[IndexEntry | None]:
        """Where an unsettled task is; None when settled or unknown."""
        return plain(
            "HGET",
            self.keys.fixed("index"),
            task_id,
            decode=lambda reply: parse_index(reply) if reply else None,
        )

    def entries(self, cursor: int, count: int) -> Command[tuple[int, dict[str, IndexEntry]]]:
        """A page of unsettled tasks (a scan: every task is seen at least once)."""
        return plain(
            "HSCAN",
            self.keys.fixed("index"),
            cursor,
            "COUNT",
            count,
            decode=lambda reply: (
                int(reply[0]),
                {text(k): parse_index(v) for k, v in reply[1].items()},
            ),
        )

    def lane_head(self, entry: IndexEntry) -> Command[int | None]:
        """The sequence of the first record of the task's lane."""
        return plain(
            "LINDEX",
            self.keys.lane(entry.tenant_id, entry.class_id, entry.level),
            0,
            decode=lambda reply: parse_record(reply).sequence if reply else None,
        )

    def lane(
        self, tenant_id: str, class_id: str, level: int, first: int, last: int
    ) -> Command[tuple[Record, ...]]:
        return plain(
            "LRANGE",
            self.keys.lane(tenant_id, class_id, level),
            first,
            last,
            decode=lambda reply: tuple(map(parse_record, reply)),
        )

    def held(self, task_id: str, owner: str) -> Command[HeldTask | None]:
        return plain(
            "HGET",
            self.keys.held(owner),
            task_id,
            decode=lambda reply: parse_held(reply) if reply else None,
        )

    def parked(self, task_id: str) -> Command[Record | None]:
        """A delayed task, or one on hold."""
        return plain(
            "HGET",
            self.keys.fixed("parked"),
            task_id,
            decode=lambda reply: parse_record(reply) if reply else None,
        )

    def evidence(self, task_id: str) -> Command[str]:
        """Why a task is on hold; "" when it is not."""
        return plain(
            "HGET",
            self.keys.fixed("evidence"),
            task_id,
            decode=lambda reply: reply.decode(errors="replace") if reply else "",
        )

    def due_at(self, task_id: str) -> Command[int | None]:
        """When a delayed task enters its lane, or a hold ends (ms)."""
        return plain(
            "ZMSCORE",
            self.keys.fixed("due"),
            f"d:{task_id}",
            f"h:{task_id}",
            decode=lambda reply: next((int(float(at)) for at in reply if at is not None), None),
        )

    def settled(self, task_id: str) -> Command[TaskState | None]:
        """How a task ended, if that was a short while ago."""
        return self._call(
            "recall",
            task_id,
            decode=lambda reply: STATE_OF_LETTER[text(reply)] if reply else None,
        )

    def waiting(self) -> Command[dict[str, int]]:
        """Waiting tasks by class."""
        return plain(
            "HGETALL",
            self.keys.fixed("waiting"),
            decode=lambda reply: {k: int(v) for k, v in _texts(reply).items()},
        )

    def unroutable(self) -> Command[dict[str, int]]:
        """Classes that nobody can run: since when (ms)."""
        return plain(
            "HGETALL",
            self.keys.fixed("unroutable"),
            decode=lambda reply: {k: int(v) for k, v in _texts(reply).items()},
        )

    def dispatchers(self) -> Command[dict[str, int]]:
        """Leases of dispatchers: their ends (ms)."""
        return plain(
            "ZRANGE",
            self.keys.fixed("leases"),
            0,
            -1,
            "WITHSCORES",
            decode=lambda reply: {text(name): int(float(end)) for name, end in _scored(reply)},
        )

    def dead_letters(self, first: int, last: int) -> Command[tuple[tuple[str, int], ...]]:
        """Ids of dead letters and when they were buried (ms), newest first."""
        return plain(
            "ZREVRANGE",
            self.keys.fixed("dead_at"),
            first,
            last,
            "WITHSCORES",
            decode=lambda reply: tuple((text(i), int(float(at))) for i, at in _scored(reply)),
        )

    def dead_letter(self, task_id: str) -> Command[Record | None]:
        return plain(
            "HGET",
            self.keys.fixed("dead"),
            task_id,
            decode=lambda reply: parse_record(reply) if reply else None,
        )

    def buried_at(self, task_id: str) -> Command[int | None]:
        """When a dead letter was buried (ms)."""
        return plain(
            "ZSCORE",
            self.keys.fixed("dead_at"),
            task_id,
            decode=lambda reply: int(float(reply)) if reply is not None else None,
        )


def _scored(reply: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Members with scores, whether the driver pairs them already or not."""
    if reply and isinstance(reply[0], tuple | list):
        return [(member, score) for member, score in reply]
    it = iter(reply)
    return list(zip(it, it, strict=True))
