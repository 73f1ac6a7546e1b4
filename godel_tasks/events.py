"""The catalogue of events, and the bus that carries them inside one process.

What only watches (Flower's mirror, metrics, logs) subscribes here; what wraps a delivery does not.
Handlers are called on the emitter's thread, which may be a dispatcher's event loop: they must not
block, and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""


class TaskClaimed(Event, frozen=True):
    """`task.claimed`: a dispatcher holds it, with a slot on an instance, since `queued_s` seconds
    after it came into its lane. What is added to `headers` goes to the instance, too."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    at_s: float
    queued_s: float
    correlation_id: str
    headers: dict[str, str]
    session_id: str = ""
    root_id: str = ""
    parent_id: str = ""


class TaskAdopted(Event, frozen=True):
    """`task.adopted`: another dispatcher's attempt is ours now. `headers` as in TaskClaimed."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    at_s: float
    correlation_id: str
    headers: dict[str, str]
    session_id: str = ""
    root_id: str = ""
    parent_id: str = ""


class TaskStarted(Event, frozen=True):
    """`task.started`: delivered to its instance. `at_s` is wall time in seconds."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    at_s: float


class TaskProgressed(Event, frozen=True):
    """`task.progressed`: its attempt has said more, `characters` in all; a few times a second at
    most. What it said is not in it: prompts and answers are not recorded."""

    task_id: str
    attempt: int
    instance_id: str
    characters: int
    at_s: float


class TaskRetried(Event, frozen=True):
    """`task.retried`: the cell has it that another attempt follows, in `after_s` seconds."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    reason: str
    at_s: float
    after_s: float
    correlation_id: str
    error_type: str
    error_module: str
    error_message: str
    traceback: str


class AttemptEnded(Event, frozen=True):
    """`attempt.ended`: this dispatcher is done with it. `outcome` is a terminal state in small
    letters, `retried`, `held`, `handed_back`, or `taken_over` (another one owns the task now).
    Its end was known at `ended_s` and stored at `at_s`, both wall time."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    outcome: str
    reason: str
    error_type: str
    ended_s: float
    at_s: float


class TaskPublished(Event, frozen=True):
    """`task.published`: its end can be read, and its outbox entry is gone. `attempt` is 0 and
    `instance_id` empty when no dispatcher ended it; `result` is JSON text."""

    task_id: str
    tenant_id: str
    attempt: int
    instance_id: str
    state: str
    run_s: float
    at_s: float
    correlation_id: str
    result: bytes
    error_type: str
    error_module: str
    error_message: str
    traceback: str


class ClassUnroutable(Event, frozen=True):
    """`class.unroutable`: tasks wait that no registered instance could ever run."""

    class_id: str
    waiting: int
    nearest: str


class FleetDoubted(Event, frozen=True):
    """`fleet.doubted`: so many instances fell silent at once that this dispatcher suspects itself
    and concludes nothing of `held` of them; 0 when that is over."""

    held: int
    reason: str


class SessionsMoved(Event, frozen=True):
    """`sessions.moved`: they wait for another instance now, and start fresh there."""

    instance_id: str
    sessions: int
    reason: str


class BreakerMoved(Event, frozen=True):
    """`breaker.opened`, `breaker.half_opened`, `breaker.closed`: this dispatcher moved it. `words`
    say why."""

    name: str
    state: str
    words: str
    at_s: float


class DispatcherReaped(Event, frozen=True):
    """`dispatcher.reaped`: a dead dispatcher's tasks were taken over."""

    dead: str
    tasks: int


class EventBus:
    """Tells subscribers of the events that they asked for."""

    def __init__(self) -> None:
        self._handlers: dict[
            type[Event], list[tuple[Callable[[Event], None], Callable[[], bool]]]
        ] = {}

    def subscribe(
        self,
        handler: Callable[[Event], None],
        *kinds: type[Event],
        while_: Callable[[], bool] = lambda: True,
    ) -> None:
        """Call `handler` with events of these kinds, while `while_()` says so."""
        for kind in kinds:
            self._handlers.setdefault(kind, []).append((handler, while_))

    def wanted(self, kind: type[Event]) -> bool:
        """Whether anybody listens to such events right now: else they need not be built."""
        return any(while_() for _, while_ in self._handlers.get(kind, ()))

    def emit(self, event: Event) -> None:
        for handler, while_ in self._handlers.get(type(event), ()):
            if while_():
                handler(event)
