"""Progress: what a running attempt has said so far, beside the cell's hot path."""

from __future__ import annotations

import msgspec

from godel_tasks.domain.attempt import Progress
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, plain

#: How long words are kept that no result has taken the place of.
KEEP_MS = 3_600_000


class Said(msgspec.Struct, frozen=True):
    """What an attempt had said at `at_ms` (wall time): the end of it, where it was long."""

    text: str
    attempt: int
    instance_id: str
    at_ms: int


class ProgressCommands(CellCommands):
    """A stale writer does no harm: readers look at the attempt's number."""

    def put(self, progress: Progress, *, keep_text: int, at_ms: int) -> Command[bool]:
        # Half a pair of surrogates, as where an instance cuts its text anywhere, is no UTF-8.
        text = progress.text[-keep_text:].encode(errors="replace").decode()
        said = Said(text, progress.attempt, progress.instance_id, at_ms)
        return plain(
            "SET",
            self.keys.progress(progress.task_id),
            msgspec.json.encode(said),
            "PX",
            KEEP_MS,
            decode=bool,
        )

    def get(self, task_id: str) -> Command[Said | None]:
        return plain(
            "GET",
            self.keys.progress(task_id),
            decode=lambda reply: msgspec.json.decode(reply, type=Said) if reply else None,
        )
