"""What must hold, whatever dies or stalls between any two commands."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from godel_tasks.domain.requirement import HARD, PIN
from godel_tasks.store.command import Command
from godel_tasks.store.lookup import LookupCommands
from godel_tasks.store.queue import Admission, ClaimReply, SubmitReply
from godel_tasks.store.records import IndexEntry
from godel_tasks.store.sessions import SessionCommands
from tests.simulation.server import SimServer


class Oracle:
    """Watches every command as the server runs it, and every published result."""

    def __init__(
        self, server: SimServer, cells: Sequence[LookupCommands], *, ordered: bool
    ) -> None:
        self._server = server
        self._cells = cells
        #: Nothing in this round puts a task back into a lane: then lanes are FIFO.
        self._ordered = ordered
        self.accepted: set[str] = set()
        self.published: dict[str, bytes] = {}
        self.times_published: dict[str, int] = defaultdict(int)
        self.problems: list[str] = []
        #: What a settle is about to act on.
        self._entries: dict[str, IndexEntry | None] = {}
        self._entered: dict[str, int] = {}
        self._last_claimed: dict[tuple[str, str, int], int] = {}
        #: Tasks of a session that joined it when they were submitted, in that order.
        self._joined: dict[str, list[str]] = defaultdict(list)
        server.guards.append(self._before)
        server.watchers.append(self._after)

    def complain(self, text: str) -> None:
        self.problems.append(f"at {self._server.loop.time():.3f} s: {text}")

    # ----------------------------------------------------------------------------- commands

    def _before(self, sender: str, command: Command[Any]) -> None:
        if command.name == "settle":
            self._entries = {task_id: self.entry(task_id) for _, task_id, _ in _settled(command)}

    def entry(self, task_id: str) -> IndexEntry | None:
        """Where an unsettled task is, in whichever cell."""
        found = (self._server.ask(look.entry(task_id)) for look in self._cells)
        return next((entry for entry in found if entry is not None), None)

    def _after(self, sender: str, command: Command[Any], reply: Any) -> None:
        if command.name == "claim" and isinstance(reply, ClaimReply):
            self._check_sessions(reply)
            if self._ordered:
                self._check_order(reply)
        elif command.name == "submit" and isinstance(reply, SubmitReply):
            self._note_order(command, reply)
        elif command.name == "settle":
            self._check_fence(command)

    def _check_fence(self, command: Command[Any]) -> None:
        """A settlement by anybody but the owner of now changes nothing."""
        for dispatcher, task_id, epoch in _settled(command):
            before = self._entries[task_id]
            owned = before is not None and (before.owner, before.epoch) == (dispatcher, epoch)
            if not owned and self.entry(task_id) != before:
                self.complain(f"{dispatcher} settled {task_id}, which was not its own: {before}")

    def _note_order(self, command: Command[Any], reply: SubmitReply) -> None:
        """Tasks enter lanes in the order in which the server took them; delayed ones do later."""
        items = command.parts[-3 * len(reply.admissions) :] if reply.admissions else ()
        for i, admission in enumerate(reply.admissions):
            eta = str(items[3 * i + 1]).split(" ")[3]
            if admission is Admission.QUEUED and eta == "0":
                task_id = str(items[3 * i])
                self._entered[task_id] = len(self._entered)
                name = self._ask_session(task_id)
                if name:
                    self._joined[name].append(task_id)

    def _ask_session(self, task_id: str) -> str:
        asked = (self._server.ask(SessionCommands(c.cell).name_of(task_id)) for c in self._cells)
        return next((name for name in asked if name), "")

    def _check_sessions(self, reply: ClaimReply) -> None:
        """Of a session one task is held at a time, and none that came before it is unsettled; it is
        claimed only for its session's instance."""
        taken: set[str] = set()
        for held in reply.tasks:
            name = self._ask_session(held.record.task_id)
            if not name:
                continue
            if name in taken:
                self.complain(f"two tasks of session {name} were claimed at once")
            taken.add(name)
            joined, task_id = self._joined[name], held.record.task_id
            # One that was delayed joined when it was due.
            ahead = joined[: joined.index(task_id)] if task_id in joined else []
            for earlier in ahead:
                if self.entry(earlier) is not None:
                    self.complain(f"{task_id} overtook {earlier} in session {name}")
            for other in joined:
                entry = self.entry(other)
                if other != task_id and entry is not None and entry.owner != "-":
                    self.complain(f"{other} and {task_id} of {name} are both held")
            pin = held.record.class_id.partition(PIN)[2].removesuffix(HARD)
            if pin not in ("", held.instance_id):
                self.complain(f"{task_id} of {name} was claimed for another instance")

    def _check_order(self, reply: ClaimReply) -> None:
        for held in reply.tasks:
            record = held.record
            lane = (record.tenant_id, record.class_id, record.level)
            at = self._entered.get(record.task_id)
            # The heads of sessions enter their lanes as those before them end.
            if at is None or record.attempt > 1 or PIN in record.class_id:
                continue
            if at < self._last_claimed.get(lane, -1):
                self.complain(f"{record.task_id} was overtaken in its lane")
            self._last_claimed[lane] = max(at, self._last_claimed.get(lane, -1))

    def note_admissions(self, task_ids: Sequence[str], reply: SubmitReply) -> None:
        for task_id, admission in zip(task_ids, reply.admissions, strict=True):
            if admission in {Admission.QUEUED, Admission.EXISTS}:
                self.accepted.add(task_id)

    def note_published(self, results: Sequence[tuple[str, bytes]]) -> None:
        for task_id, meta in results:
            self.times_published[task_id] += 1
            known = self.published.setdefault(task_id, meta)
            if known != meta:
                self.complain(f"{task_id} was published as {known!r} and as {meta!r}")

    # ------------------------------------------------------------------------------- the end

    def unfinished(self) -> set[str]:
        return self.accepted - self.published.keys()

    def state_of(self, task_id: str) -> str:
        state: str = json.loads(self.published[task_id])["godel"]["state"]
        return state

    def check_ends(self) -> None:
        for task_id in sorted(self.unfinished()):
            entry = self.entry(task_id)
            settled = [self._server.ask(look.settled(task_id)) for look in self._cells]
            self.complain(f"{task_id} has no published end: index {entry}, settled {settled}")
        for task_id in sorted(self.published.keys() - self.accepted):
            self.complain(f"{task_id} was published and never accepted")


def _rest(command: Command[Any]) -> int:
    """Where the arguments after the named ones begin."""
    assert command.script is not None
    return 3 + int(command.parts[2]) + len(command.script.args)


def _settled(command: Command[Any]) -> list[tuple[str, str, int]]:
    """Dispatcher, task and epoch of each settlement of a call."""
    assert command.script is not None
    at = 3 + int(command.parts[2])
    dispatcher = str(command.parts[at + command.script.args.index("dispatcher")])
    rest = command.parts[_rest(command) :]
    return [
        (dispatcher, str(rest[i]), int(str(rest[i + 1]).split(" ")[1]))
        for i in range(0, len(rest), 3)
    ]
