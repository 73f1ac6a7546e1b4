"""Decisions: how dispatchers planned their ticks, kept for whoever asks why. Off the hot path."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from godel_tasks.domain.routing import Routed
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, plain, text

#: Decisions that a cell keeps: a few minutes of a busy one, days of a quiet one.
KEPT = 10_000
#: How long after a claim its decision may be written down.
LATE_MS = 5000


class KeptDecision(msgspec.Struct, frozen=True):
    """A decision, with the claims that it stands for. `at_ms` is when it was written down."""

    at_ms: int
    dispatcher: str
    first_batch: int
    last_batch: int
    routed: Routed


class DecisionCommands(CellCommands):
    """One stream per cell."""

    def put(
        self, *, dispatcher: str, first_batch: int, last_batch: int, routed: Routed
    ) -> Command[str]:
        return self._call(
            "keep_decision",
            dispatcher,
            first_batch,
            last_batch,
            msgspec.json.encode(routed),
            KEPT,
            decode=text,
        )

    def newest(self) -> Command[KeptDecision | None]:
        """What was written down last."""
        return plain(
            "XREVRANGE", self.keys.fixed("decisions"), "+", "-", "COUNT", 1,
            decode=lambda reply: _decision(*reply[0]) if reply else None,
        )  # fmt: skip

    def near(self, *, claimed_ms: int) -> Command[tuple[KeptDecision, ...]]:
        """What was written down from just before a claim until its decision must have been."""
        return plain(
            "XRANGE", self.keys.fixed("decisions"), claimed_ms - LATE_MS, claimed_ms + LATE_MS,
            decode=lambda reply: tuple(_decision(entry_id, said) for entry_id, said in reply),
        )  # fmt: skip


def _decision(entry_id: bytes, said: Mapping[bytes, bytes]) -> KeptDecision:
    fields = {text(name): value for name, value in said.items()}
    return KeptDecision(
        int(text(entry_id).partition("-")[0]),
        text(fields["dispatcher"]),
        int(fields["first"]),
        int(fields["last"]),
        msgspec.json.decode(fields["routed"], type=Routed),
    )


def decision_of(
    kept: tuple[KeptDecision, ...], *, dispatcher: str, batch: int, class_id: str, claimed_ms: int
) -> KeptDecision | None:
    """The decision that stands for a claim: that of its batch, else the last one before it of the
    same dispatcher and class. Batch 0 is of a task that was taken over: the nearest in time."""
    own = [d for d in kept if d.dispatcher == dispatcher and d.routed.class_id == class_id]
    if batch == 0:
        return min(own, key=lambda d: abs(d.at_ms - claimed_ms), default=None)
    for decision in own:
        if decision.first_batch <= batch <= decision.last_batch:
            return decision
    earlier = [decision for decision in own if decision.last_batch < batch]
    return earlier[-1] if earlier else None
