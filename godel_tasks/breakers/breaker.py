"""CircuitBreaker: a breaker of one's own, shared by every process that uses its name.

    payments = CircuitBreaker("payments", fallback="payments are down, try later")

    await payments.execute(lambda: client.charge(order))   # or: async with payments: ...
    payments.call(client.charge, order)                    # or: with payments: ...

Its state is in Redis; a new process resets nothing. While it is closed a call costs no round trip
but one a second for all calls of a process: what is known of it is up to a second old, and what
went well is told with the next failure or after a second.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from godel_tasks.breakers.judge import Judge, default_runtime
from godel_tasks.domain.breaker import (
    INSTANCE_BREAKER,
    PROVIDER_BREAKER,
    BreakerConfig,
    BreakerSnapshot,
    BreakerState,
    CallOutcome,
    ErrorKind,
)
from godel_tasks.errors import CircuitOpenError, InstanceUnavailable, InvalidBreaker
from godel_tasks.runtime import Runtime
from godel_tasks.store.breakers import BreakerReply

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that what is known of a breaker may be old.
CACHE_S = 1.0
#: Most outcomes that wait to be told.
MOST_UNTOLD = 500


class CircuitBreakerDelegate:
    """What somebody wants to hear of a breaker; override what matters. Moves are told in one
    process each: the one whose call made them. Must not block, and must not raise."""

    def on_open(self, snapshot: BreakerSnapshot) -> None:
        """It lets nothing through from now on."""

    def on_half_open(self, snapshot: BreakerSnapshot) -> None:
        """It lets its probes through."""

    def on_close(self, snapshot: BreakerSnapshot) -> None:
        """It lets everything through again."""

    def on_success(self) -> None:
        """A call of this process went well."""

    def on_failure(self, error: BaseException) -> None:
        """A call of this process failed in a way that counts."""

    def on_refused(self, error: CircuitOpenError) -> None:
        """A call of this process was not let through."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that was let through. `permit` is "" unless it is a probe."""

    began: float
    permit: str = ""


#: Calls within `with` and `async with`, the innermost last.
_CALLS: ContextVar[tuple[_Call, ...]] = ContextVar("godel_breaker_calls", default=())


def kind_of(error: BaseException) -> ErrorKind:
    """What kind of failure an exception is."""
    if isinstance(error, TimeoutError):
        return ErrorKind.STALL
    if isinstance(error, OSError | InstanceUnavailable):
        return ErrorKind.CONNECTION
    return ErrorKind.ERROR


class CircuitBreaker:
    """A breaker by name. One object may be shared by threads and by tasks of event loops.

    `counts` and `ignores` say which exceptions are failures; what is ignored is neither a failure
    nor a success. While Redis does not answer, each process judges for itself.

    Raises:
        InvalidBreaker: the name is empty, or one of Godel's own.
    """

    def __init__(
        self,
        name: str,
        config: BreakerConfig | None = None,
        delegate: CircuitBreakerDelegate | None = None,
        *,
        fallback: str = "",
        counts: tuple[type[BaseException], ...] = (Exception,),
        ignores: tuple[type[BaseException], ...] = (),
        runtime: Runtime | None = None,
    ) -> None:
        if not name or name.startswith((INSTANCE_BREAKER, PROVIDER_BREAKER)):
            raise InvalidBreaker(
                f"{name!r} cannot be a breaker's name",
                hint=f"give a name that does not begin with {INSTANCE_BREAKER} "
                f"or {PROVIDER_BREAKER}: those are Godel's",
            )
        self.name = name
        self.config = config or BreakerConfig()
        self.delegate = delegate or CircuitBreakerDelegate()
        self._fallback = fallback
        self._counts = counts
        self._ignores = ignores
        self._judge = Judge(name, self.config, lambda: (runtime or default_runtime()).store)
        self._known = BreakerSnapshot(name)
        self._known_at = float("-inf")
        self._told_at = float("-inf")
        self._untold = ""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return str(self._known)

    def snapshot(self) -> BreakerSnapshot:
        """As it stands now; asks Redis."""
        return self._learn(self._judge.read())

    # -- calls -------------------------------------------------------------------------------

    def call(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the operation answers.

        Raises:
            CircuitOpenError: it was not begun.
        """
        with self:
            return operation(*args, **kwargs)

    async def execute(
        self, operation: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `call`, for what is awaited."""
        async with self:
            return await operation(*args, **kwargs)

    def __enter__(self) -> Self:
        permit, reply = self._ask() if self._must_ask() else ("", None)
        self._began(permit, reply)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        call, letter = self._ended(error)
        self._heard(self._tell(call, letter) if self._must_tell(call, letter) else None)

    async def __aenter__(self) -> Self:
        permit, reply = await asyncio.to_thread(self._ask) if self._must_ask() else ("", None)
        self._began(permit, reply)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        call, letter = self._ended(error)
        told = self._must_tell(call, letter)
        self._heard(await asyncio.to_thread(self._tell, call, letter) if told else None)

    # -- before a call -----------------------------------------------------------------------

    def _must_ask(self) -> bool:
        """Whether what is known does not say if a call may begin."""
        age_s = time.monotonic() - self._known_at
        if self._known.state is BreakerState.OPEN:
            # Nothing but time opens it; a person may close it, so it is looked at now and then.
            return age_s >= min(CACHE_S, self._known.retry_after_s)
        return age_s >= CACHE_S or self._known.state is BreakerState.HALF_OPEN

    def _ask(self) -> tuple[str, BreakerReply]:
        permit = f"{self._judge.reporter}/{next(self._numbers)}"
        return permit, self._judge.acquire(permit)

    def _began(self, permit: str, reply: BreakerReply | None) -> None:
        known = self._learn(reply.snapshot) if reply else self._known
        self._heard(reply)
        may_begin = reply.granted > 0 if reply else known.state.lets_through
        if not may_begin:
            age_s = time.monotonic() - self._known_at
            refused = CircuitOpenError(
                self.name,
                known.words,
                retry_after_s=max(0.0, known.retry_after_s - age_s),
                fallback=self._fallback,
            )
            self.delegate.on_refused(refused)
            raise refused
        probes = known.state is BreakerState.HALF_OPEN
        _CALLS.set((*_CALLS.get(), _Call(time.monotonic(), permit if probes else "")))

    # -- after it ----------------------------------------------------------------------------

    def _ended(self, error: BaseException | None) -> tuple[_Call, CallOutcome]:
        *outer, call = _CALLS.get()
        _CALLS.set(tuple(outer))
        slow_s = self.config.slow_call_s
        slow = slow_s > 0 and time.monotonic() - call.began > slow_s
        if error is None:
            self.delegate.on_success()
            return call, CallOutcome.SLOW if slow else CallOutcome.OK
        fails = isinstance(error, self._counts) and not isinstance(error, self._ignores)
        if not fails or kind_of(error) not in self.config.kinds:
            return call, CallOutcome.NONE
        self.delegate.on_failure(error)
        return call, CallOutcome.FAILED_SLOWLY if slow else CallOutcome.FAILED

    def _must_tell(self, call: _Call, letter: CallOutcome) -> bool:
        """Whether it is told now; what went well may wait."""
        if call.permit:
            return True
        if letter is CallOutcome.NONE:
            return False
        with self._lock:
            self._untold += letter
            late = time.monotonic() - self._told_at >= CACHE_S
            return letter is not CallOutcome.OK or late or len(self._untold) >= MOST_UNTOLD

    def _tell(self, call: _Call, letter: CallOutcome) -> BreakerReply:
        with self._lock:
            outcomes, self._untold = self._untold, ""
            self._told_at = time.monotonic()
        return self._judge.report(outcomes, {call.permit: letter.value} if call.permit else {})

    def _heard(self, reply: BreakerReply | None) -> None:
        if reply is None:
            return
        snapshot = self._learn(reply.snapshot)
        if not reply.moved:
            return
        match snapshot.state:
            case BreakerState.OPEN:
                self.delegate.on_open(snapshot)
            case BreakerState.HALF_OPEN:
                self.delegate.on_half_open(snapshot)
            case BreakerState.CLOSED:
                self.delegate.on_close(snapshot)

    def _learn(self, snapshot: BreakerSnapshot) -> BreakerSnapshot:
        self._known, self._known_at = snapshot, time.monotonic()
        return snapshot
