"""Leases of dispatchers, and what goes over to others when one dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, counts, moment, pairs, plain, text
from godel_tasks.store.keys import SHARED_OUTBOX
from godel_tasks.store.records import HeldTask, parse_held


@dataclass(frozen=True, slots=True)
class RenewReply:
    """`stale`: it was reaped; it must drop what it holds and come back under a new name."""

    stale: bool
    now_ms: int = 0
    held: int = 0
    cancels: dict[str, str] | None = None
    dead: tuple[str, ...] = ()
    shared_outbox: int = 0


@dataclass(frozen=True, slots=True)
class ReapReply:
    """`outcome` is "ok", "done" (nothing left), "alive", "grace" (a stall: wait) or "stale" (the
    reaper itself has no lease)."""

    outcome: str
    tasks: tuple[HeldTask, ...] = ()


def _renew_reply(reply: list[Any]) -> RenewReply:
    if text(reply[0]) == "stale":
        return RenewReply(stale=True)
    return RenewReply(
        False,
        int(reply[1]),
        int(reply[2]),
        pairs(reply[3]),
        tuple(map(text, reply[4])),
        int(reply[5]),
    )


def _reap_reply(reply: list[Any]) -> ReapReply:
    outcome = text(reply[0])
    return ReapReply(outcome, tuple(map(parse_held, reply[1])) if outcome == "ok" else ())


def _entries(flat: Sequence[Any]) -> dict[str, bytes]:
    it = iter(flat)
    return {text(task_id): bytes(entry) for task_id, entry in zip(it, it, strict=True)}


class LeaseCommands(CellCommands):
    """Commands about a cell's dispatchers."""

    def renew(self, *, dispatcher: str, lease_ms: int) -> Command[RenewReply]:
        """Keep (or first take) the lease."""
        return self._call(
            "renew",
            dispatcher,
            lease_ms,
            named={
                "held": self.keys.held(dispatcher),
                "cancels": self.keys.cancels(dispatcher),
                "outbox_shared": self.keys.outbox(SHARED_OUTBOX),
            },
            decode=_renew_reply,
        )

    def leave(self, *, dispatcher: str) -> Command[int]:
        """End the lease; what is left behind may be reaped at once. Answers how much that is."""
        return self._call(
            "leave",
            dispatcher,
            named={
                "held": self.keys.held(dispatcher),
                "outbox": self.keys.outbox(dispatcher),
                "cancels": self.keys.cancels(dispatcher),
            },
            decode=int,
        )

    def condemn(self, *, reaper: str, dead: str) -> Command[ReapReply]:
        """Fence a dispatcher whose lease is past, and read what it holds. The caller then keeps
        the slots of these tasks in use, before it reaps."""
        return self._call(
            "condemn",
            reaper,
            dead,
            named={"held_dead": self.keys.held(dead)},
            decode=_reap_reply,
        )

    def reap(self, *, reaper: str, dead: str, finish: bool, limit: int = 500) -> Command[ReapReply]:
        """Take over (some of) what a condemned dispatcher held; with `finish`, and nothing left,
        end its lease: "done"."""
        return self._call(
            "reap",
            reaper,
            dead,
            limit,
            int(finish),
            named={
                "held_dead": self.keys.held(dead),
                "held_own": self.keys.held(reaper),
                "outbox_dead": self.keys.outbox(dead),
                "cancels_dead": self.keys.cancels(dead),
                "cancels_own": self.keys.cancels(reaper),
            },
            decode=_reap_reply,
        )

    def held(self, *, dispatcher: str) -> Command[tuple[HeldTask, ...]]:
        """Everything that Redis thinks the dispatcher holds."""
        return plain(
            "HVALS",
            self.keys.held(dispatcher),
            decode=lambda reply: tuple(map(parse_held, reply)),
        )

    def take_outbox(
        self,
        *,
        dispatcher: str,
        source: str = SHARED_OUTBOX,
        limit: int = 500,
        leased: bool = True,
    ) -> Command[dict[str, bytes]]:
        """Make unpublished entries of another (or the shared outbox) one's own; none without a
        lease, but for who needs none (`leased` is False)."""
        return self._call(
            "take_outbox",
            dispatcher,
            limit,
            int(leased),
            named={
                "outbox_from": self.keys.outbox(source),
                "outbox_own": self.keys.outbox(dispatcher),
            },
            decode=_entries,
        )

    def own_outbox(self, *, dispatcher: str) -> Command[dict[str, bytes]]:
        return plain(
            "HGETALL",
            self.keys.outbox(dispatcher),
            decode=lambda reply: {text(k): bytes(v) for k, v in reply.items()},
        )

    def acknowledge_outbox(self, *, dispatcher: str, task_ids: Sequence[str]) -> Command[int]:
        """Drop entries that are published."""
        return plain("HDEL", self.keys.outbox(dispatcher), *task_ids, decode=int)

    def canvas(self, *, task_ids: Sequence[str]) -> Command[dict[str, bytes]]:
        """What follows the ends of these tasks; those that nothing follows are left out."""
        return plain(
            "HMGET",
            self.keys.fixed("canvas"),
            *task_ids,
            decode=lambda reply: {i: bytes(v) for i, v in zip(task_ids, reply, strict=True) if v},
        )

    def forget_canvas(self, *, task_ids: Sequence[str]) -> Command[int]:
        """Drop what has followed; before the outbox entry goes, which leads to it."""
        return plain("HDEL", self.keys.fixed("canvas"), *task_ids, decode=int)

    def sleep(
        self, *, dispatcher: str, ignoring: Sequence[str] = ()
    ) -> Command[tuple[dict[str, int], int | None]]:
        """Ask to be woken, unless a class that is not ignored has work already; what waits by
        class, and when the next task is due (ms)."""
        names = "," + "".join(f"{name}," for name in ignoring)
        return self._call(
            "sleep",
            dispatcher,
            names,
            decode=lambda reply: (counts(reply[0]), moment(reply[1])),
        )

    def classes(self) -> Command[dict[str, str]]:
        """Specs of the classes that have live tasks."""
        return plain(
            "HGETALL",
            self.keys.fixed("classes"),
            decode=lambda reply: {text(k): text(v) for k, v in reply.items()},
        )

    def mark_unroutable(self, *, class_id: str, now_ms: int) -> Command[int]:
        return plain("HSETNX", self.keys.fixed("unroutable"), class_id, now_ms, decode=int)

    def mark_routable(self, *, class_ids: Sequence[str]) -> Command[int]:
        return plain("HDEL", self.keys.fixed("unroutable"), *class_ids, decode=int)

    @property
    def wake_key(self) -> str:
        return self.keys.fixed("wake")
