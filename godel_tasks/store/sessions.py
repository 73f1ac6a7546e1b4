"""Sessions of a cell: what keeps tasks of one conversation in order and on one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from godel_tasks.domain.session import Affinity, SessionStatus, session_name
from godel_tasks.store.cell import CellCommands
from godel_tasks.store.command import Command, counts, pairs, plain, text


@dataclass(frozen=True, slots=True)
class EndReply:
    """What `end` did in this call. `left`: tasks that are still there; the running one was told to
    stop. `instance_id`: where the session was."""

    known: bool
    cancelled: int = 0
    asked: int = 0
    left: int = 0
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class IdleReply:
    """How many were forgotten; those that are being ended and have tasks: name → by whom."""

    forgotten: int
    unfinished: dict[str, str]


def _end_reply(reply: list[Any]) -> EndReply:
    if text(reply[0]) == "unknown":
        return EndReply(known=False)
    return EndReply(True, int(reply[1]), int(reply[2]), int(reply[3]), text(reply[4]))


def _status(name: str, fields: Mapping[str, str], waiting: int, unsettled: int) -> SessionStatus:
    tenant_id, _, session_id = name.partition(":")

    def number(field: str) -> int:
        return int(fields.get(field, "0"))

    return SessionStatus(
        session_id=session_id,
        tenant_id=tenant_id,
        affinity=Affinity(fields["affinity"]),
        instance_id=fields.get("instance", ""),
        created_ms=number("created_ms"),
        used_ms=number("used_ms"),
        ttl_ms=number("ttl_ms"),
        labels=msgspec.json.decode(fields.get("labels") or "{}", type=dict[str, str]),
        head=fields.get("head", ""),
        waiting=waiting,
        unsettled=unsettled,
        moves=number("moves"),
        moved_from=fields.get("moved_from", ""),
        moved_ms=number("moved_ms"),
        moved_why=fields.get("moved_why", ""),
        ending="ended" in fields,
    )


def _scanned(reply: Sequence[Any]) -> tuple[int, tuple[str, ...]]:
    cursor, rows = reply
    names = [row[0] if isinstance(row, tuple | list) else row for row in rows]
    if rows and not isinstance(rows[0], tuple | list):
        names = names[::2]
    return int(cursor), tuple(map(text, names))


class SessionCommands(CellCommands):
    """Commands about a cell's sessions; a `name` is "tenant:session"."""

    def open(
        self,
        *,
        tenant_id: str,
        session_id: str,
        affinity: Affinity,
        ttl_ms: int,
        labels: Mapping[str, str],
    ) -> Command[str]:
        """Make it: "created", "exists", "ended" (it is being ended) or "unknown" (no such
        tenant)."""
        return self._call(
            "open_session",
            session_name(tenant_id, session_id),
            str(affinity),
            ttl_ms,
            msgspec.json.encode(dict(labels)),
            named={"tenant": self.keys.tenant(tenant_id)},
            decode=text,
        )

    def end(self, *, name: str, who: str, limit: int = 200) -> Command[EndReply]:
        """End it and cancel (some of) its tasks; again while any but a running one is left."""
        return self._call("end_session", name, who.replace(" ", "_"), limit, decode=_end_reply)

    def idle(self, *, limit: int = 200) -> Command[IdleReply]:
        """Forget the sessions that nothing has used for their time to live."""
        return self._call(
            "idle_sessions",
            limit,
            decode=lambda reply: IdleReply(int(reply[0]), pairs(reply[1])),
        )

    def move(self, *, class_id: str, reason: str, limit: int = 200) -> Command[int]:
        """Let the heads that wait for that class's instance run anywhere; how many did."""
        return self._call("move_sessions", class_id, reason, limit, decode=int)

    def fields(self, name: str) -> tuple[Command[Any], ...]:
        """The parts of a status, for `status_of`."""
        return (
            plain("HGETALL", self.keys.session(name), decode=_texts),
            plain("LLEN", self.keys.behind(name), decode=int),
            plain("SCARD", self.keys.members(name), decode=int),
        )

    def names(self, *, tenant_id: str, cursor: int) -> Command[tuple[int, tuple[str, ...]]]:
        """A page of a tenant's sessions (a scan: each is seen at least once); "" for all."""
        pattern = f"{tenant_id}:*" if tenant_id else "*"
        return plain(
            "ZSCAN", self.keys.fixed("sessions"), cursor, "MATCH", pattern, "COUNT", 1000,
            decode=_scanned,
        )  # fmt: skip

    def name_of(self, task_id: str) -> Command[str]:
        """The session of an unsettled task; "" for none."""
        return plain(
            "HGET",
            self.keys.fixed("sessioned"),
            task_id,
            decode=lambda reply: text(reply) if reply else "",
        )

    def place_behind(self, *, name: str, task_id: str) -> Command[int | None]:
        """How many of its session's tasks wait before one that is behind the head."""
        return plain(
            "LPOS",
            self.keys.behind(name),
            task_id,
            decode=lambda reply: int(reply) if reply is not None else None,
        )

    def notes(self, task_ids: Sequence[str]) -> Command[dict[str, str]]:
        """That tasks' sessions were moved, in words; those of unmoved ones are left out."""
        return plain(
            "HMGET",
            self.keys.fixed("moved"),
            *task_ids,
            decode=lambda reply: {
                i: text(note) for i, note in zip(task_ids, reply, strict=True) if note
            },
        )

    def pinned(self) -> Command[dict[str, int]]:
        """Sessions by the instance that they are bound to."""
        return plain("HGETALL", self.keys.fixed("pinned"), decode=_numbers)


def status_of(name: str, parts: Sequence[Any]) -> SessionStatus | None:
    """A session from the replies of `fields`; None when there is none."""
    fields, waiting, unsettled = parts
    return _status(name, fields, waiting, unsettled) if "affinity" in fields else None


def _texts(reply: Any) -> dict[str, str]:
    return {text(k): text(v) for k, v in reply.items()} if isinstance(reply, dict) else pairs(reply)


def _numbers(reply: Any) -> dict[str, int]:
    return {text(k): int(v) for k, v in reply.items()} if isinstance(reply, dict) else counts(reply)
