"""Sessions as plain Python, for the queue's model: their heads, their order, their instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

TTL_MS = 60_000


class Tasks(Protocol):
    """What sessions need to know of a task."""

    task_id: str
    tenant: str
    class_id: str
    session: str
    behind: bool


@dataclass
class Session:
    """One session; `name` is "tenant:session"."""

    name: str
    hard: bool
    look_at: int = 0
    used: int = 0
    head: str = ""
    behind: list[str] = field(default_factory=list)
    members: set[str] = field(default_factory=set)
    instance: str = ""
    #: Attempts on this instance.
    ran: int = 0
    moves: int = 0
    ended: bool = False

    def use(self, now: int) -> None:
        self.used, self.look_at = now, now + TTL_MS

    def class_of(self, class_id: str) -> str:
        """The class that is in force for a task that enters a lane now."""
        base = class_id.partition("~")[0]
        if not self.instance:
            return f"{base}~"
        return f"{base}~{self.instance}{'!' if self.hard else ''}"

    def bind(self, instance: str) -> None:
        if self.instance != instance:
            self.instance, self.ran = instance, 0

    def attempted(self, *, ran: bool) -> None:
        if ran:
            self.ran += 1
        elif not self.ran:
            self.instance = ""


@dataclass
class Sessions:
    """All sessions of a cell."""

    by_name: dict[str, Session] = field(default_factory=dict)

    def of(self, task: Tasks) -> Session | None:
        return self.by_name[task.session] if task.session else None

    def is_ended(self, name: str) -> bool:
        session = self.by_name.get(name)
        return session is not None and session.ended

    def take_in(self, name: str, task_id: str, now: int, *, hard: bool) -> Session:
        session = self.by_name.get(name)
        if session and not session.members and now - session.used > TTL_MS:
            session = None
        if session is None:
            session = self.by_name[name] = Session(name, hard)
        session.members.add(task_id)
        session.use(now)
        return session

    def join(self, session: Session, task: Tasks) -> bool:
        """Whether the task is the head now; otherwise it waits behind."""
        if not session.ended and session.head in ("", task.task_id):
            session.head = task.task_id
            task.class_id = session.class_of(task.class_id)
            return True
        session.behind.append(task.task_id)
        task.behind = True
        return False

    def over(self, task: Tasks, now: int) -> str:
        """A task has ended; the id of the one that follows it now."""
        session = self.of(task)
        if session is None:
            return ""
        session.members.remove(task.task_id)
        if session.ended:
            if session.head == task.task_id:
                session.head = ""
            if not session.members:
                del self.by_name[session.name]
            return ""
        session.use(now)
        if session.head != task.task_id:
            return ""
        session.head = session.behind.pop(0) if session.behind else ""
        return session.head

    def idle(self, now: int) -> tuple[int, set[str]]:
        """What a look for idle ones must answer, done."""
        due = [s for s in self.by_name.values() if s.look_at <= now]
        unfinished = {s.name for s in due if s.members and s.ended}
        gone = [s for s in due if not s.members]
        for session in gone:
            del self.by_name[session.name]
        for session in due:
            if session.members and not session.ended:
                session.look_at = now + TTL_MS
        return len(gone), unfinished

    def pinned(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for session in self.by_name.values():
            if session.instance:
                found[session.instance] = found.get(session.instance, 0) + 1
        return found
