"""A cell on a real server whose time is in the test's hand: what stories about the store need."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from godel_tasks.domain.session import SessionStatus
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from godel_tasks.domain.tenant import TenantConfig, TenantStatus
from godel_tasks.store.command import Command, plain
from godel_tasks.store.executor import SyncExecutor
from godel_tasks.store.leases import LeaseCommands, ReapReply
from godel_tasks.store.lookup import LookupCommands
from godel_tasks.store.queue import (
    CancelReply,
    ClaimReply,
    GlobalTaskQueue,
    Settlement,
    SlotRange,
    SubmitReply,
    Verb,
)
from godel_tasks.store.records import HeldTask, IndexEntry
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.store.sessions import EndReply, SessionCommands, status_of
from godel_tasks.store.tenants import TenantCommands

T = TypeVar("T")

#: Virtual times start here; any real moment will do.
START_MS = 1_800_000_000_000
#: Tasks without a requirement, in the default pool.
ANY_CLASS = "shared.0"


class Cell:
    """One cell, with commands as verbs. `now` is its time in ms; `pass_time` moves it."""

    def __init__(self, executor: SyncExecutor, *, cell: int = 0, start_ms: int = START_MS) -> None:
        self.executor = executor
        self.now = start_ms
        self.queue = GlobalTaskQueue(cell, self._time)
        self.leases = LeaseCommands(cell, self._time)
        self.tenants = TenantCommands(cell, self._time)
        self.look = LookupCommands(cell, self._time)
        self.registry = RegistryCommands(self._time)
        self.sessions = SessionCommands(cell, self._time)
        self._ids = itertools.count(1)
        self._batches = itertools.count(1)
        self._sequences = itertools.count(1)

    def _time(self) -> int:
        return self.now

    def pass_time(self, ms: int) -> None:
        self.now += ms

    def run(self, command: Command[T]) -> T:
        return self.executor.run(command)

    def server(self, *parts: Any) -> Any:
        """A command of the server's own, its reply as it comes."""
        return self.run(plain(*parts, decode=lambda reply: reply))

    # ------------------------------------------------------------------------------ tenants

    def tenant(self, tenant_id: str, weight: float = 1.0, max_queue: int = 1000) -> None:
        self.run(self.tenants.put(TenantConfig(tenant_id, weight, max_queue)))

    def status(self, tenant_id: str) -> TenantStatus:
        status = self.run(self.tenants.status(tenant_id))
        assert status is not None, f"no tenant {tenant_id}"
        return status

    # --------------------------------------------------------------------------------- tasks

    def task(
        self,
        task_id: str = "",
        *,
        level: int = 2,
        need: str = "0",
        spec: str = "",
        digest: str = "-",
        payload: bytes = b"{}",
        start_by: str = "0",
        eta: str = "0",
        deadline: str = "0",
        session: str = "",
        hard: bool = False,
        ttl_ms: int = 60_000,
    ) -> NewTask:
        """A new task; `need` is the digest of its requirement, `start_by`, `eta` and
        `deadline` are moments as NewTask has them."""
        return NewTask(
            task_id=task_id or f"task-{next(self._ids)}",
            level=level,
            spec_digest=need,
            spec=spec,
            body=encode_body(TaskBody(payload)),
            body_digest=digest,
            start_by=start_by,
            eta=eta,
            deadline=deadline,
            session=f"{session} {'hard' if hard else 'soft'} {ttl_ms}" if session else "",
        )

    def submit(
        self, tenant_id: str, *tasks: NewTask, count: int = 0, check_settled: bool = False
    ) -> SubmitReply:
        """Submit these tasks, or `count` plain ones."""
        batch = tasks or tuple(self.task() for _ in range(count))
        return self.run(
            self.queue.submit(tenant_id=tenant_id, tasks=batch, check_settled=check_settled)
        )

    def entry(self, task_id: str) -> IndexEntry | None:
        return self.run(self.look.entry(task_id))

    def letter(self, task_id: str) -> str:
        """The state's letter of an unsettled task, "" for any other."""
        entry = self.server("HGET", self.key("index"), task_id)
        return entry.decode()[0] if entry else ""

    # ---------------------------------------------------------------------------- dispatchers

    def dispatcher(self, *names: str, lease_ms: int = 3000) -> None:
        """Renew the leases of these dispatchers."""
        for name in names:
            assert not self.run(self.leases.renew(dispatcher=name, lease_ms=lease_ms)).stale

    def keep_alive(self, *names: str, ms: int, lease_ms: int = 3000) -> None:
        """Let time pass while these dispatchers renew, so that it is no stall."""
        end = self.now + ms
        while self.now < end:
            self.pass_time(min(500, end - self.now))
            self.dispatcher(*names, lease_ms=lease_ms)

    def claim(
        self,
        dispatcher: str,
        count: int = 1,
        *,
        classes: Iterable[str] = (ANY_CLASS,),
        batch: int | None = None,
        ageing_ms: int = 60_000,
        slots: Sequence[SlotRange] | None = None,
        preferences: dict[str, Sequence[int]] | None = None,
    ) -> ClaimReply:
        """Claim for `count` slots of one instance that any of `classes` may use."""
        number = next(self._batches) if batch is None else batch
        if slots is None:
            slots = [SlotRange("i1", 1, number * 10_000, count)]
        return self.run(
            self.queue.claim(
                dispatcher=dispatcher,
                batch=number,
                max_take=10_000,
                ageing_ms=ageing_ms,
                max_lag=1e12,
                slots=slots,
                preferences=preferences or {name: [0] for name in classes},
            )
        )

    def take(self, dispatcher: str, count: int = 1, **options: Any) -> tuple[HeldTask, ...]:
        """The tasks of a claim."""
        return self.claim(dispatcher, count, **options).tasks

    def settle(
        self, dispatcher: str, *settlements: Settlement, sequence: int | None = None
    ) -> tuple[bool, ...]:
        number = next(self._sequences) if sequence is None else sequence
        return self.run(
            self.queue.settle(dispatcher=dispatcher, sequence=number, settlements=settlements)
        )

    def succeed(self, dispatcher: str, *held: HeldTask, actual_ms: float = 100) -> tuple[bool, ...]:
        return self.settle(dispatcher, *(success(task, actual_ms=actual_ms) for task in held))

    def cancel(self, task_id: str, *, running_too: bool = True) -> CancelReply:
        return self.run(self.queue.cancel(task_id=task_id, who="ops", running_too=running_too))

    def due(self) -> int:
        return self.run(self.queue.due())[0]

    def sweep(self) -> int:
        return self.run(self.queue.sweep())

    def bury(self, dead: str, *, by: str) -> list[HeldTask]:
        """Reap `dead` until nothing is left of it; what `by` took over."""
        assert self.run(self.leases.condemn(reaper=by, dead=dead)).outcome == "ok"
        taken: list[HeldTask] = []
        while True:
            reply: ReapReply = self.run(self.leases.reap(reaper=by, dead=dead, finish=True))
            if reply.outcome == "done":
                return taken
            assert reply.outcome == "ok"
            taken += reply.tasks
            self.run(self.leases.take_outbox(dispatcher=by, source=dead))

    def publish_all(self, dispatcher: str) -> dict[str, bytes]:
        """What waits in the dispatcher's own and the shared outbox, acknowledged."""
        entries = self.run(self.leases.own_outbox(dispatcher=dispatcher))
        while more := self.run(self.leases.take_outbox(dispatcher=dispatcher)):
            entries |= more
        if entries:
            ids = list(entries)
            self.run(self.leases.acknowledge_outbox(dispatcher=dispatcher, task_ids=ids))
        return entries

    # ------------------------------------------------------------------------------ sessions

    def session(self, name: str) -> SessionStatus | None:
        """A session by "tenant:session"."""
        return status_of(name, [self.run(part) for part in self.sessions.fields(name)])

    def move(self, class_id: str, reason: str = "it was lost", limit: int = 200) -> int:
        return self.run(self.sessions.move(class_id=class_id, reason=reason, limit=limit))

    def end_session(self, name: str, *, limit: int = 200) -> EndReply:
        return self.run(self.sessions.end(name=name, who="ops", limit=limit))

    # ---------------------------------------------------------------------------------- keys

    def key(self, name: str) -> str:
        """A fixed key of the cell, or a whole derived one without its prefix."""
        return self.queue.keys.fixed(name)

    def all_keys(self) -> Iterator[str]:
        for key in sorted(self.server("KEYS", "*")):
            yield key.decode()


def success(task: HeldTask, *, actual_ms: float = 100, data: bytes = b"result") -> Settlement:
    return Settlement(
        task.record.task_id,
        task.epoch,
        Verb.TERMINAL,
        task.estimate_ms,
        actual_ms,
        letter="S",
        data=data,
    )


def failure(task: HeldTask, *, bury: bool = False) -> Settlement:
    return Settlement(
        task.record.task_id,
        task.epoch,
        Verb.TERMINAL,
        task.estimate_ms,
        100,
        letter="F",
        bury=bury,
        data=b"error",
    )


def retry(task: HeldTask, *, after_ms: int = 0) -> Settlement:
    return Settlement(
        task.record.task_id, task.epoch, Verb.RETRY, task.estimate_ms, 100, after_ms=after_ms
    )


def back(task: HeldTask) -> Settlement:
    return Settlement(task.record.task_id, task.epoch, Verb.BACK, task.estimate_ms)


def hold(task: HeldTask, *, after_ms: int = 60_000, why: bytes = b"lost") -> Settlement:
    return Settlement(
        task.record.task_id,
        task.epoch,
        Verb.HOLD,
        task.estimate_ms,
        100,
        after_ms=after_ms,
        data=why,
    )


def ids(tasks: Iterable[HeldTask]) -> list[str]:
    return [task.record.task_id for task in tasks]
