"""Godel offline: what producers submit lands in a fake Redis, and the test plays the fleet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery.result import AsyncResult

from godel_tasks.celery import app
from godel_tasks.domain.attempt import Completion, Delivery
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig
from godel_tasks.domain.tenant import TenantStatus
from godel_tasks.instances.handlers import Handler, TaskContext
from godel_tasks.instances.server.outcome import payload_of, raised, returned
from godel_tasks.settings import load_settings
from godel_tasks.store.command import plain, text
from godel_tasks.testing.attaching import attached
from godel_tasks.testing.fake import URL, FakeBackend, FakeRuntime, check_installed
from godel_tasks.testing.manual import ManualDispatcher
from godel_tasks.testing.submitted import SubmittedTask, submitted_task
from godel_tasks.testing.tenants import put_tenant, tenant_status
from godel_tasks.views.tasks import task_view

#: Commands after which a task may not be looked at any more.
_ENDING = frozenset({"cancel"})
_SUBMITTING = frozenset({"submit"})
_FOR_EVER_MS = 10**11
#: Nothing listens there.
_ENDPOINT = "godel-offline.invalid:0"

#: A task as a test has it at hand.
AnyTask = AsyncResult[Any] | SubmittedTask | str


@contextmanager
def offline(**settings: Any) -> Iterator[OfflineGodel]:
    """`godel_tasks.app`, and with it `submit_task`, without a server. `settings` are Godel's.

    Raises:
        GodelError: fakeredis is not installed.
        SettingsError: a setting is wrong.
    """
    check_installed()
    godel = OfflineGodel(**settings)
    with attached(app, godel.runtime):
        vars(app)["_backend_cache"] = FakeBackend(godel.runtime, app=app)
        yield godel


class OfflineGodel:
    """What the fixture `godel` is. Tasks stay where they are until the test settles them, or
    gives a handler that answers for the fleet."""

    def __init__(self, **settings: Any) -> None:
        nowhere: dict[str, Any] = {"redis_url": URL, "state_url": "", "broker_url": "",
                                   "result_url": "", "data_dir": Path.cwd()}  # fmt: skip
        self.runtime = FakeRuntime(
            load_settings(**{**nowhere, **settings}), self._before, self._after
        )
        self._dispatcher = ManualDispatcher(self.runtime, app)
        self._seen: dict[str, SubmittedTask] = {}
        self._handler: Handler | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<OfflineGodel {len(self.submitted)} submitted, {len(self.unsettled)} unsettled>"

    # -- the house --------------------------------------------------------------------------------

    def tenant(self, tenant_id: str, **fields: Any) -> str:
        """Create or change a tenant: `weight`, `max_queue`, `pool`, `on_uncertain`; its name.

        Raises:
            InvalidTenant: a field is out of range.
        """
        put_tenant(self.runtime, tenant_id, **fields)
        return tenant_id

    def status(self, tenant_id: str) -> TenantStatus:
        """A tenant's settings and counters: `depth`, `succeeded`, ...

        Raises:
            UnknownTenant: there is none of that name.
        """
        return tenant_status(self.runtime, tenant_id)

    def instance(
        self,
        instance_id: str,
        *,
        region: str = "",
        pool: str = DEFAULT_POOL,
        capabilities: Mapping[str, str] | None = None,
    ) -> None:
        """Register an instance that runs nothing: for submits with `require_routable=True`."""
        store, registry = self.runtime.store, self.runtime.registry
        config = InstanceConfig(
            instance_id=instance_id, endpoint=_ENDPOINT, capacity=1, region=region,
            pool=pool, capabilities=dict(capabilities or {}),
        )  # fmt: skip
        generation = store.run(registry.register(config))
        store.run(registry.enlist(config, generation=generation, lease_ms=_FOR_EVER_MS))

    # -- looking ----------------------------------------------------------------------------------

    @property
    def submitted(self) -> tuple[SubmittedTask, ...]:
        """Every task that was accepted, first to last, whatever became of it."""
        self._look()
        return tuple(self._seen.values())

    @property
    def unsettled(self) -> tuple[SubmittedTask, ...]:
        """Those that are not settled, first to last."""
        now = self._look()
        return tuple(task for task in self._seen.values() if task.task_id in now)

    # -- playing the fleet ------------------------------------------------------------------------

    def settle(self, task: AnyTask, result: Any = None) -> None:
        """Its handler returned `result`: the task has SUCCEEDED, and its result is published.

        Raises:
            TaskNotFound: no such task is known.
            TaskStateConflict: it does not wait: it is delayed, or was settled already.
        """
        self._end(task, lambda delivery: returned(delivery, result, 0.0))

    def fail(self, task: AnyTask, error: BaseException) -> None:
        """Its handler raised `error` in the last attempt that it had: the task has FAILED.

        Raises: as `settle`.
        """
        self._end(task, lambda delivery: raised(delivery, error, 0.0))

    def answer(self, handler: Callable[..., Any]) -> None:
        """Run what waits, and from now on each task as it is submitted, with a handler as an
        instance takes it: `(payload)` or `(payload, context)`, sync or async. One that raises is
        tried again as often as the settings and the task say, without a pause.

        Raises:
            WorkerError: it cannot be called with a payload.
        """
        self._handler = Handler.of(handler)
        self._work()

    def advance(self, seconds: float) -> None:
        """Let time pass: delayed tasks come due, late ones expire."""
        self._look()
        self.runtime.ahead_ms += int(seconds * 1000)
        for cell in self.runtime.cells:
            while self.runtime.store.run(cell.queue.due())[0]:
                pass
        self._dispatcher.publish()
        self._work()

    # -- inside -----------------------------------------------------------------------------------

    def _end(self, task: AnyTask, ending: Callable[[Delivery], Completion]) -> None:
        self._look()
        with self._lock:
            flight = self._dispatcher.take(_id_of(task))
            completion = ending(self._dispatcher.delivery(flight))
            self._dispatcher.settle(flight, completion, last=True)

    def _work(self) -> None:
        if self._handler is None:
            return
        self._look()
        with self._lock:
            while (flight := self._dispatcher.next()) is not None:
                completion = _run(self._handler, self._dispatcher.delivery(flight))
                self._dispatcher.settle(flight, completion, last=False)

    def _before(self, commands: frozenset[str]) -> None:
        if commands & _ENDING:
            self._look()

    def _after(self, commands: frozenset[str]) -> None:
        if commands & _ENDING:
            self._dispatcher.publish()
        if commands & _SUBMITTING:
            self._work()

    def _look(self) -> set[str]:
        """Read tasks that are new; the ids of all that are not settled."""
        with self._lock:
            found: set[str] = set()
            for cell in self.runtime.cells:
                store = self.runtime.store
                # A fake hash keeps its fields in the order in which they came.
                index = plain("HKEYS", cell.queue.keys.fixed("index"), decode=lambda reply: reply)
                ids = list(map(text, store.run(index)))
                specs = store.run(cell.leases.classes())
                for task_id in ids:
                    if task_id not in self._seen:
                        self._add(task_id, specs)
                found.update(ids)
            return found

    def _add(self, task_id: str, specs: Mapping[str, str]) -> None:
        view = task_view(self.runtime, task_id)
        if view.record is not None:
            spec = specs.get(view.record.class_id, "")
            self._seen[task_id] = submitted_task(view.record, spec, due_ms=view.due_ms)


def _id_of(task: AnyTask) -> str:
    if isinstance(task, str):
        return task
    return str(task.task_id if isinstance(task, SubmittedTask) else task.id)


def _run(handler: Handler, delivery: Delivery) -> Completion:
    """One attempt, as an instance runs it."""
    try:
        arguments = (payload_of(delivery), TaskContext(delivery))
        given = arguments if handler.takes_context else arguments[:1]
        if handler.is_async:
            # On a thread of its own: the producer may be on an event loop itself.
            with ThreadPoolExecutor(1) as thread:
                result = thread.submit(lambda: asyncio.run(handler.function(*given))).result()
        else:
            result = handler.function(*given)
    except Exception as error:
        return raised(delivery, error, 0.0)
    return returned(delivery, result, 0.0)
