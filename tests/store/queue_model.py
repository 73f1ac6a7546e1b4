"""The queue as plain Python: what must be true after each verb. It knows no lanes' tombstones, no
ready index and no keys, only tasks, their order and their owners."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from godel_tasks.domain.task import NewTask
from godel_tasks.store.queue import SlotRange
from godel_tasks.store.records import HeldTask
from tests.store.session_model import Sessions

Lane = tuple[str, str, int]

SHORT_MS, LONG_MS = 600_000, 86_400_000
#: The counter of each terminal letter.
COUNTERS = {"S": "succeeded", "F": "failed", "X": "expired", "K": "cancelled"}


@dataclass
class Task:
    """A task that was admitted."""

    task_id: str
    tenant: str
    class_id: str
    level: int
    digest: str
    start_by: int
    deadline: int
    entered: int
    state: str = "W"
    attempt: int = 1
    epoch: int = 0
    owner: str = "-"
    #: Of the claim that took it last; 0 after a reap.
    batch: int = 0
    estimate: float = 0.0
    slot: str = ""
    cancel_asked: bool = False
    #: "tenant:session" of one that belongs to a session.
    session: str = ""
    #: It waits behind the head of its session, in no lane.
    behind: bool = False
    #: When a delayed task or a hold is due.
    due_at: int = 0
    settled_at: int = 0

    @property
    def lane(self) -> Lane:
        return (self.tenant, self.class_id, self.level)

    @property
    def is_over(self) -> bool:
        return self.state in COUNTERS

    @property
    def is_held(self) -> bool:
        return self.state in {"C", "R"}

    def late(self, now: int) -> bool:
        """Whether it may not start any more."""
        return 0 < self.start_by <= now

    def remembered(self, now: int) -> bool:
        """Whether submit still knows that it was settled."""
        if now // SHORT_MS - self.settled_at // SHORT_MS <= 1:
            return True
        return self.digest != "-" and now // LONG_MS - self.settled_at // LONG_MS <= 1


@dataclass
class Tenant:
    """What the model knows of a tenant."""

    weight: float
    max_queue: int
    submitted: int = 0


@dataclass
class QueueModel:
    """All tasks, the order of the waiting ones, and what is not published."""

    tenants: dict[str, Tenant] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    lanes: dict[Lane, list[str]] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)
    #: Owner ("-" for nobody) → id → the entry's bytes, or its first word where a script made it.
    outboxes: dict[str, dict[str, bytes]] = field(default_factory=dict)

    # ------------------------------------------------------------------------------- counts

    def alive(self, tenant: str = "") -> list[Task]:
        return [
            t for t in self.tasks.values() if not t.is_over and (not tenant or t.tenant == tenant)
        ]

    def depth(self, tenant: str) -> int:
        return sum(t.state in {"W", "D", "H"} for t in self.alive(tenant))

    def held(self, owner: str) -> list[Task]:
        return [t for t in self.tasks.values() if t.is_held and t.owner == owner]

    # -------------------------------------------------------------------------------- verbs

    def submit(self, tenant: str, tasks: list[NewTask], *, check_settled: bool, now: int) -> str:
        """The letters that submit must answer, done."""
        letters, depth = "", self.depth(tenant)
        for new in tasks:
            letter = self._admit(tenant, new, depth, check_settled, now)
            letters += letter
            if letter == "q":
                depth += 1
                self._enter(tenant, new, now)
        return letters

    def _admit(self, tenant: str, new: NewTask, depth: int, check_settled: bool, now: int) -> str:
        known = self.tasks.get(new.task_id)
        if known and known.is_over and not (check_settled and known.remembered(now)):
            known = None
        if known:
            same = known.digest == new.body_digest
            return "e" if same and (known.is_over or known.tenant == tenant) else "c"
        start_by, deadline = moment(new.start_by, now), moment(new.deadline, now)
        if 0 < start_by <= now or 0 < deadline <= now:
            return "p"
        if depth >= self.tenants[tenant].max_queue:
            return "f"
        return "s" if self.sessions.is_ended(session_of(tenant, new)) else "q"

    def _enter(self, tenant: str, new: NewTask, now: int) -> None:
        start_by, deadline = moment(new.start_by, now), moment(new.deadline, now)
        eta = moment(new.eta, now)
        if deadline and (not start_by or deadline < start_by):
            start_by = deadline
        class_id = f"shared.{new.spec_digest}"
        task = Task(
            new.task_id, tenant, class_id, new.level, new.body_digest, start_by, deadline, now
        )
        self.tasks[new.task_id] = task
        self.tenants[tenant].submitted += 1
        name, session = session_of(tenant, new), None
        if name:
            task.session, task.class_id = name, f"{class_id}~"
            hard = new.session.split(" ")[1] == "hard"
            session = self.sessions.take_in(name, task.task_id, now, hard=hard)
        if eta > now:
            task.state, task.due_at = "D", eta
        elif session is None or self.sessions.join(session, task):
            self._to_tail(task, now)

    def _to_tail(self, task: Task, now: int) -> None:
        task.state, task.owner, task.entered = "W", "-", now
        self.lanes.setdefault(task.lane, []).append(task.task_id)

    def leave_lane(self, task: Task) -> None:
        if task.behind:
            self.sessions.by_name[task.session].behind.remove(task.task_id)
        else:
            self.lanes[task.lane].remove(task.task_id)

    def claimed(self, held: HeldTask, dispatcher: str) -> None:
        task = self.tasks[held.record.task_id]
        self.leave_lane(task)
        task.state, task.owner, task.batch = "C", dispatcher, held.batch
        task.epoch += 1
        task.estimate, task.slot = held.estimate_ms, held.slot
        session = self.sessions.of(task)
        if session is not None:
            assert session.head == task.task_id, f"{task.task_id} is not at the head"
            assert session.instance in ("", held.instance_id), f"{task.task_id} went elsewhere"
            session.bind(held.instance_id)

    def end(self, task: Task, letter: str, entry: bytes, now: int, owner: str = "-") -> None:
        if task.state == "W":
            self.leave_lane(task)
        task.state, task.settled_at, task.owner = letter, now, "-"
        self.outboxes.setdefault(owner, {})[task.task_id] = entry
        following = self.sessions.over(task, now)
        if following:
            heir = self.tasks[following]
            heir.behind, heir.class_id = False, self._class_in_force(heir)
            # It has waited since it came.
            self._to_tail(heir, heir.entered)

    def _class_in_force(self, task: Task) -> str:
        session = self.sessions.of(task)
        return session.class_of(task.class_id) if session else task.class_id

    def attempted(self, task: Task, *, ran: bool) -> None:
        session = self.sessions.of(task)
        if session is not None:
            session.attempted(ran=ran)

    def again(self, task: Task, now: int, after_ms: int) -> bool:
        """Another attempt, after a while; True: now, and the caller hands it back."""
        task.attempt += 1
        task.start_by, task.owner = task.deadline, "-"
        if after_ms > 0:
            task.state, task.due_at = "D", now + after_ms
        return after_ms <= 0

    def back(self, tasks: list[Task]) -> None:
        """Handed back in one batch: to the heads of their lanes, in their order."""
        for task in reversed(tasks):
            task.state, task.owner = "W", "-"
            task.class_id = self._class_in_force(task)
            self.lanes.setdefault(task.lane, []).insert(0, task.task_id)

    def hold(self, task: Task, now: int, after_ms: int) -> None:
        task.state, task.owner = "H", "-"
        task.due_at = task.deadline or now + after_ms

    def promote(self, task: Task, now: int) -> None:
        session = self.sessions.of(task)
        if session is None or self.sessions.join(session, task):
            self._to_tail(task, now)
        else:
            task.state, task.owner, task.entered = "W", "-", now

    def move(self, class_id: str) -> int:
        """All that wait for a soft class's instance leave it; how many."""
        moved = 0
        for lane, ids in list(self.lanes.items()):
            if lane[1] != class_id or not ids:
                continue
            tasks = [self.tasks[i] for i in ids]
            moved += len(tasks)
            self.lanes[lane] = []
            for task in tasks:
                session = self.sessions.by_name[task.session]
                session.instance, session.moves = "", session.moves + 1
            self.back(tasks)
        return moved

    def end_session(self, name: str, now: int, limit: int) -> None:
        session = self.sessions.by_name[name]
        session.ended, session.look_at = True, now
        chosen = [session.head] if session.head else []
        chosen += session.behind[:limit] or sorted(session.members - set(chosen))
        for task in map(self.tasks.__getitem__, chosen):
            if task.is_held:
                task.cancel_asked = True
            else:
                self.end(task, "K", b"!K " + task.tenant.encode(), now)
        if not session.members:
            self.sessions.by_name.pop(name, None)

    # ------------------------------------------------------------------------- claim's oracle

    def check_claim(
        self,
        taken: tuple[HeldTask, ...],
        *,
        slots: list[SlotRange],
        preferences: dict[str, list[int]],
        virtual_times: dict[str, float],
        averages: dict[str, float],
        dispatcher: str,
        now: int,
        ageing_ms: int,
    ) -> None:
        """Each task in the order taken was the one to take; and no more could be taken."""
        left = [slot.count for slot in slots]
        heads = {
            lane: [i for i in ids if not self.tasks[i].late(now)]
            for lane, ids in self.lanes.items()
        }
        clock = dict(virtual_times)

        def slot_of(class_id: str) -> int | None:
            return next((i for i in preferences.get(class_id, ()) if left[i] > 0), None)

        def runnable() -> dict[str, list[Lane]]:
            found: dict[str, list[Lane]] = {}
            for lane, ids in heads.items():
                if ids and slot_of(lane[1]) is not None:
                    found.setdefault(lane[0], []).append(lane)
            return found

        def rank(lane: Lane) -> tuple[int, int]:
            entered = self.tasks[heads[lane][0]].entered
            return (lane[2] - math.floor((now - entered) / ageing_ms), entered)

        for held in taken:
            task = self.tasks[held.record.task_id]
            assert task.state == "W", f"{task.task_id} was {task.state}, not waiting"
            assert not task.late(now), f"{task.task_id} was past its time"
            candidates = runnable()
            first = min(candidates, key=lambda name: (clock[name], name))
            assert task.tenant == first, f"{first} was to be served before {task.tenant}"
            best = min(map(rank, candidates[first]))
            assert heads[task.lane][0] == task.task_id, f"{task.task_id} is not its lane's head"
            assert rank(task.lane) == best, f"{task.task_id} ranks {rank(task.lane)}, not {best}"
            at = slot_of(task.class_id)
            assert at is not None
            number = slots[at].first + slots[at].count - left[at]
            assert (held.instance_id, held.slot) == (
                slots[at].instance_id,
                f"{dispatcher}/{number}",
            )
            assert held.estimate_ms == averages[first]
            assert held.record.attempt == task.attempt
            left[at] -= 1
            heads[task.lane].pop(0)
            clock[first] += held.estimate_ms / self.tenants[first].weight
        assert not runnable(), f"could have taken more: {runnable()}"


def session_of(tenant: str, new: NewTask) -> str:
    return f"{tenant}:{new.session.split(' ')[0]}" if new.session else ""


def moment(text: str, now: int) -> int:
    """A NewTask's time as ms since the epoch; 0 for none."""
    return now + int(text[1:]) if text.startswith("+") else int(text)
