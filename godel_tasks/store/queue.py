"""GlobalTaskQueue: the tasks' way through a cell, one command a verb (submit, claim, settle, ...).

Nothing here does I/O: each method builds a `Command` for either executor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from godel_tasks.domain.attempt import NANOS, Usage
from godel_tasks.domain.task import STATE_OF_LETTER, NewTask, TaskState
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Argument, Command, counts, moment, text
from godel_tasks.store.records import HeldTask, parse_held


class Admission(StrEnum):
    """Submit's answer for one task."""

    QUEUED = "q"
    EXISTS = "e"
    CONFLICT = "c"
    FULL = "f"
    PAST = "p"
    SESSION_ENDED = "s"


class SubmitReply(msgspec.Struct, frozen=True, gc=False):
    """`known` is False when the tenant is not; then `admissions` is empty."""

    known: bool
    admissions: tuple[Admission, ...] = ()
    depth: int = 0
    limit: int = 0
    average_ms: float = 0.0
    in_flight: int = 0


class SlotRange(msgspec.Struct, frozen=True, gc=False):
    """Slots held on one instance: numbers first..first+count-1 of the claiming dispatcher."""

    instance_id: str
    generation: int
    first: int
    count: int


class ClaimReply(msgspec.Struct, frozen=True, gc=False):
    """`stale`: the dispatcher has no lease any more. `waiting` counts tasks by class."""

    stale: bool
    now_ms: int = 0
    next_due_ms: int | None = None
    waiting: dict[str, int] | None = None
    tasks: tuple[HeldTask, ...] = ()


class Verb(StrEnum):
    """What settle does with one attempt."""

    TERMINAL = "T"
    RETRY = "R"
    BACK = "B"
    HOLD = "H"


class Settlement(msgspec.Struct, frozen=True, gc=False):
    """One attempt's end, decided. `letter` is the terminal state's; `data` the outbox entry (or
    the evidence of a hold); `bury` keeps the record as a dead letter."""

    task_id: str
    epoch: int
    verb: Verb
    estimate_ms: float
    actual_ms: float = 0.0
    after_ms: int = 0
    letter: str = "-"
    bury: bool = False
    data: bytes = b""
    #: What the attempt used, `credible`; None where its instance does not say.
    usage: Usage | None = None


class CancelReply(msgspec.Struct, frozen=True, gc=False):
    """What cancel did: "unknown", "settled", "cancelled", "asked" (the dispatcher was told), or
    "running" (and it was not to be cancelled while running)."""

    outcome: str
    state: TaskState | None = None
    dispatcher: str = ""


def _used(usage: Usage | None) -> str:
    if usage is None:
        return ""
    cached = usage.cache_read_tokens + usage.cache_write_tokens
    nanos = round(usage.cost_usd * NANOS)
    return f" {usage.input_tokens} {usage.output_tokens} {cached} {nanos}"


def _claim_reply(reply: list[Any]) -> ClaimReply:
    if text(reply[0]) == "stale":
        return ClaimReply(stale=True)
    return ClaimReply(
        stale=False,
        now_ms=int(reply[1]),
        next_due_ms=moment(reply[2]),
        waiting=counts(reply[3]),
        tasks=tuple(map(parse_held, reply[4])),
    )


def _submit_reply(reply: list[Any]) -> SubmitReply:
    if text(reply[0]) == "unknown":
        return SubmitReply(known=False)
    return SubmitReply(
        True,
        tuple(map(Admission, text(reply[1]))),
        int(reply[2]),
        int(reply[3]),
        float(reply[4]),
        int(reply[5]),
    )


def _cancel_reply(reply: list[Any]) -> CancelReply:
    outcome = text(reply[0])
    if outcome == "settled":
        return CancelReply(outcome, state=STATE_OF_LETTER[text(reply[1])])
    if outcome == "asked":
        return CancelReply(outcome, dispatcher=text(reply[1]))
    return CancelReply(outcome)


class GlobalTaskQueue(CellCommands):
    """Commands of one cell's queue."""

    def submit(
        self, *, tenant_id: str, tasks: Sequence[NewTask], check_settled: bool
    ) -> Command[SubmitReply]:
        """Admit tasks of one tenant. With `check_settled`, ids that were settled a short while ago
        count as taken (caller-chosen ids; a repeat after a lost reply)."""
        specs: dict[str, str] = {}
        follow: list[Argument] = []
        sessions: list[Argument] = []
        items: list[Argument] = []
        for task in tasks:
            specs[task.spec_digest] = task.spec
            if task.canvas:
                follow += (task.task_id, task.canvas)
            if task.session:
                sessions += (task.task_id, task.session)
            items += (
                task.task_id,
                (
                    f"{task.level} {task.spec_digest} {task.start_by} {task.eta} {task.deadline} "
                    f"{task.body_digest}"
                ),
                task.body,
            )
        flat = [part for pair in specs.items() for part in pair]
        return self._call(
            "submit",
            tenant_id,
            int(check_settled),
            len(specs),
            len(follow) // 2,
            len(sessions) // 2,
            named={"tenant": self.keys.tenant(tenant_id)},
            rest=[*flat, *follow, *sessions, *items],
            decode=_submit_reply,
        )

    def claim(
        self,
        *,
        dispatcher: str,
        batch: int,
        max_take: int,
        ageing_ms: int,
        max_lag: float,
        slots: Sequence[SlotRange],
        preferences: Mapping[str, Sequence[int]],
    ) -> Command[ClaimReply]:
        """Take a fair batch for the slots held. `preferences` names, per class, which of `slots`
        (from 0) it may use, best first. The same batch number again re-reads what it took."""
        rest: list[Argument] = []
        for slot in slots:
            rest += (f"{slot.instance_id}#{slot.generation}", slot.first, slot.count)
        rest.append(len(preferences))
        for name, order in preferences.items():
            rest += (name, ",".join(str(i + 1) for i in order))
        return self._call(
            "claim",
            dispatcher,
            batch,
            max_take,
            ageing_ms,
            max_lag,
            len(slots),
            named={"held": self.keys.held(dispatcher)},
            rest=rest,
            decode=_claim_reply,
        )

    def settle(
        self, *, dispatcher: str, sequence: int, settlements: Sequence[Settlement]
    ) -> Command[tuple[bool, ...]]:
        """Settle a batch; per task whether it was still ours. The same sequence again gets the
        same answer."""
        rest: list[Argument] = []
        for s in settlements:
            rest += (
                s.task_id,
                (
                    f"{s.verb.value} {s.epoch} {s.estimate_ms} {s.actual_ms:.3f} {s.after_ms} "
                    f"{s.letter} {1 if s.bury else 0}{_used(s.usage)}"
                ),
                s.data,
            )
        return self._call(
            "settle",
            dispatcher,
            sequence,
            named={
                "held": self.keys.held(dispatcher),
                "outbox": self.keys.outbox(dispatcher),
            },
            rest=rest,
            decode=lambda reply: tuple(letter == "o" for letter in text(reply)),
        )

    def mark_running(self, *, dispatcher: str, tasks: Sequence[tuple[str, int]]) -> Command[int]:
        """Tasks (id, epoch) that their instance took, and that still run."""
        rest = [part for task in tasks for part in task]
        return self._call("mark_running", dispatcher, rest=rest, decode=int)

    def due(self, *, limit: int = 200) -> Command[tuple[int, int | None]]:
        """Handle what has come due; how many, and when the next is due (ms)."""
        return self._call(
            "due",
            limit,
            decode=lambda reply: (int(reply[0]), moment(reply[1])),
        )

    def cancel(self, *, task_id: str, who: str, running_too: bool = True) -> Command[CancelReply]:
        return self._call(
            "cancel", task_id, who.replace(" ", "_"), int(running_too), decode=_cancel_reply
        )

    def resolve(self, *, task_id: str, verdict: str, note: str = "") -> Command[str]:
        """Decide about a task on hold: "retry", "fail" or "succeed" (note: the result as JSON).
        Answers "ok", "unknown" or the state's letter."""
        return self._call("resolve", task_id, verdict, note, decode=text)

    def bury_class(
        self, *, class_id: str, limit_ms: int, why: str, batch_size: int = 200
    ) -> Command[int]:
        """Fail what has waited longer than `limit_ms` in a class that nobody can run."""
        return self._call("bury_class", class_id, limit_ms, batch_size, why, decode=int)

    def sweep(self, *, limit: int = 10_000) -> Command[int]:
        """Remove tombstones from lanes that are mostly made of them."""
        return self._call("sweep", limit, decode=int)

    def cut_dead_letters(self, *, before_ms: int, limit: int = 1000) -> Command[int]:
        """Drop dead letters that were buried before a time."""
        return self._call("cut_dead_letters", before_ms, limit, decode=int)
