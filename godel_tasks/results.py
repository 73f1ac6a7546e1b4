"""GodelResult: a real Celery `AsyncResult` of a task in Godel's queues."""

from __future__ import annotations

import asyncio
import json
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from celery.app import app_or_default
from celery.result import AsyncResult
from vine import promise

from godel_tasks.cancelling import cancel_in_cells
from godel_tasks.domain.task import TaskState
from godel_tasks.errors import ResultExpired, StoreUnavailable, TaskNotFound
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.store.command import Command, plain
from godel_tasks.store.keys import result_key
from godel_tasks.store.records import IndexEntry

T = TypeVar("T")

#: A state of ours as Celery names it; terminal ones come from the result backend.
CELERY_STATES = {
    TaskState.WAITING: "PENDING",
    TaskState.DELAYED: "PENDING",
    TaskState.ON_HOLD: "PENDING",
    TaskState.CLAIMED: "RECEIVED",
    TaskState.RUNNING: "STARTED",
}
#: Seconds that a settled task's result may take to appear before it counts as expired.
PUBLISH_PATIENCE_S = 10.0

if TYPE_CHECKING:

    class _CeleryResult(AsyncResult[Any]):
        """What Celery's types leave out."""

        _cache: dict[str, Any] | None
        _ignored: bool
        parent: Any

        def _on_fulfilled(self, result: Any) -> Any: ...
        def _get_task_meta(self) -> dict[str, Any]: ...
        def _maybe_set_cache(self, meta: dict[str, Any]) -> dict[str, Any]: ...

else:
    _CeleryResult = AsyncResult


class GodelResult(_CeleryResult):
    """What `submit_task.delay()` returns.

    Beside all that `AsyncResult` has: `tenant`, `instance`, `attempts`, `usage`, `progress()`,
    `position()`, `explain()`, `aget()`.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        backend: Any = None,
        task_name: str | None = None,  # noqa: ARG002 - Celery's, deprecated there
        app: Any = None,
        parent: Any = None,
    ) -> None:
        """Celery's, but for the promise, and what it costs at the end: most results of a producer
        are never waited for."""
        if id is None:
            raise ValueError("a result needs the id of its task")
        self.app = app_or_default(app or self.app)
        self.id = id
        self.backend = backend or self.app.backend
        self.parent = parent
        self._cache = None
        self._ignored = False

    @cached_property
    def on_ready(self) -> Any:  # type: ignore[override]
        """What `then` adds to."""
        return promise(self._on_fulfilled, weak=True)

    def __del__(self) -> None:
        """The backend keeps a result that is waited for; one that it holds weakly was given a
        promise."""
        if "on_ready" in self.__dict__:
            self.backend.remove_pending_result(self)  # type: ignore[attr-defined]

    @property
    def _runtime(self) -> Runtime:
        return runtime_of(self.app)

    def _get_task_meta(self) -> dict[str, Any]:
        meta = super()._get_task_meta()
        if meta["status"] != "PENDING":
            return meta
        entry = self._entry()
        if entry is None:
            return meta
        status = CELERY_STATES[entry.state]
        if entry.retrying and entry.state is TaskState.DELAYED:
            status = "RETRY"
        return {**meta, "status": status, "godel": {"tenant": entry.tenant_id}}

    def _ask(self, command: Command[T], *, of_results: bool = False) -> T:
        """A look, made once more when the connection had died unnoticed (Redis was restarted)."""
        executor = self._runtime.results if of_results else self._runtime.store
        try:
            return executor.run(command)
        except StoreUnavailable:
            return executor.run(command)

    def _entry(self) -> IndexEntry | None:
        """Where it is, while it is not settled. Looks in every cell."""
        for cell in self._runtime.cells:
            entry = self._ask(cell.lookup.entry(self.id))
            if entry is not None:
                return entry
        return None

    def _godel(self, field: str) -> Any:
        return self._get_task_meta().get("godel", {}).get(field)

    @property
    def tenant(self) -> str | None:
        """Who owns the task."""
        value: str | None = self._godel("tenant")
        return value

    @property
    def instance(self) -> str | None:
        """The instance that ran its last attempt, or runs it now."""
        found: str | None = self._godel("instance")
        if found:
            return found
        held = self._held()
        return held.instance_id if held else None

    @property
    def attempts(self) -> int:
        """Executions so far, the running one included."""
        found = self._godel("attempts")
        if found is not None:
            return int(found)
        held = self._held()
        return held.record.attempt if held else 0

    @property
    def usage(self) -> dict[str, Any] | None:
        """What the attempt that ended it used of a model: input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_usd, model, provider. None where its instance
        does not say. The tenant's sums count the attempts before it, too."""
        value: dict[str, Any] | None = self._godel("usage")
        return value

    @property
    def session_note(self) -> str | None:
        """That its session was moved to another instance before it ran, and started fresh there;
        None when it was not."""
        value: str | None = self._godel("session_note")
        return value

    def _held(self) -> Any:
        for cell in self._runtime.cells:
            entry = self._ask(cell.lookup.entry(self.id))
            if entry is not None and entry.owner != "-":
                return self._ask(cell.lookup.held(self.id, entry.owner))
        return None

    def progress(self) -> dict[str, Any] | None:
        """What its running attempt has said so far: {"text", "attempt", "instance", "at_ms"}; of a
        long text the last 65,536 characters. None when it does not run, or its instance does not
        tell."""
        for cell in self._runtime.cells:
            entry = self._ask(cell.lookup.entry(self.id))
            if entry is None or entry.owner == "-":
                continue
            held = self._ask(cell.lookup.held(self.id, entry.owner))
            said = self._ask(cell.progress.get(self.id))
            if held is not None and said is not None and said.attempt == held.record.attempt:
                return {
                    "text": said.text,
                    "attempt": said.attempt,
                    "instance": said.instance_id,
                    "at_ms": said.at_ms,
                }
        return None

    def explain(self) -> dict[str, Any]:
        """Why it went where it went, or why it waits: {"reason", "instance", "strategy",
        "candidates", "filtered", "live", ...}, as `godel tasks explain --json` prints it.

        Raises:
            TaskNotFound: no cell knows it, and no result of it is kept.
            ResultExpired: it was settled, and only that is still known.
        """
        from godel_tasks.views.explain import as_data, explain

        return as_data(explain(self._runtime, self.id))

    def position(self) -> int | None:
        """Tasks ahead of it in its lane, or in its session (0: it is next); None when it does not
        wait. Cancelled tasks that were ahead in a lane may still be counted."""
        for cell in self._runtime.cells:
            entry = self._ask(cell.lookup.entry(self.id))
            if entry is not None and entry.behind:
                name = self._ask(cell.sessions.name_of(self.id))
                place = self._ask(cell.sessions.place_behind(name=name, task_id=self.id))
                return place + 1 if place is not None else 0
            if entry is not None and entry.state is TaskState.WAITING:
                head = self._ask(cell.lookup.lane_head(entry))
                return max(0, entry.sequence - head) if head is not None else 0
        return None

    def get(self, timeout: float | None = None, *args: Any, **options: Any) -> Any:
        """As `AsyncResult.get`, but a result that will never come raises instead of hanging.

        Raises:
            TaskNotFound: no task of that id waits, runs or is remembered.
            ResultExpired: it was settled, and its result is no longer kept.
        """
        if not self._cache and not self.ignored:
            self._check_known(timeout)
        return super().get(timeout, *args, **options)

    def _check_known(self, timeout: float | None) -> None:
        if self.parent is not None:
            # A step of a chain, or a chord's body: it is submitted when its turn comes.
            return
        deadline = time.monotonic() + min(PUBLISH_PATIENCE_S, timeout or PUBLISH_PATIENCE_S)
        while True:
            if self._entry() is not None or self._published():
                return
            settled = [self._ask(cell.lookup.settled(self.id)) for cell in self._runtime.cells]
            if not any(settled):
                if self._published():
                    return
                raise TaskNotFound(
                    f"no task {self.id} is known",
                    hint="it never existed, or its result was kept for GODEL_RESULT_EXPIRES_S only",
                )
            if time.monotonic() >= deadline:
                raise ResultExpired(f"task {self.id} was settled, but its result is gone")
            time.sleep(0.05)

    def _published(self) -> bool:
        return bool(self._ask(plain("EXISTS", result_key(self.id), decode=int), of_results=True))

    def revoke(
        self,
        connection: Any = None,  # noqa: ARG002 - these are Celery's
        terminate: bool = False,
        signal: str | None = None,  # noqa: ARG002
        wait: bool = False,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
    ) -> None:
        """Cancel it, durably. A running one is stopped only with `terminate=True`, as in Celery;
        the other arguments are Celery's, and mean nothing here."""
        cancel_in_cells(self._runtime, self.id, who="revoke", running_too=terminate)

    async def aget(self, timeout: float | None = None) -> Any:
        """`get` for an event loop: waits without blocking it.

        Raises:
            TimeoutError: not settled within `timeout` seconds.
        """
        await asyncio.to_thread(self._check_known, timeout)
        client = self._runtime.async_results()
        pubsub = client.pubsub()
        try:
            async with asyncio.timeout(timeout):
                await pubsub.subscribe(result_key(self.id))
                stored = await client.get(result_key(self.id))
                while stored is None:
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1.0)
                    stored = message["data"] if message else None
                    if stored is None:
                        stored = await client.get(result_key(self.id))
            meta = self.backend.meta_from_decoded(json.loads(stored))
            self._maybe_set_cache(meta)
        finally:
            await pubsub.aclose()
            await client.aclose()
        return self.get(timeout=0)
