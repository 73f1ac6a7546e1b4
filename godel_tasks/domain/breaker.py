"""Breaker: a circuit breaker's settings, and what is known of one. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum

from godel_tasks.errors import InvalidBreaker

#: How names of instances' breakers begin, and of those of what stands behind instances.
INSTANCE_BREAKER = "instance:"
PROVIDER_BREAKER = "provider:"

#: A day: longer than this nothing stays open, or a breaker that nobody uses would outlive its key.
MOST_OPEN_S = 43_200.0


class BreakerState(StrEnum):
    """Where a breaker stands. A person forces and lifts the forced ones."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    FORCED_CLOSED = "forced-closed"

    @property
    def lets_through(self) -> bool:
        """Whether every call may pass."""
        return self in (BreakerState.CLOSED, BreakerState.FORCED_CLOSED)

    @property
    def refuses(self) -> bool:
        """Whether no call may pass."""
        return self in (BreakerState.OPEN, BreakerState.FORCED_OPEN)


class ErrorKind(StrEnum):
    """What kind of failure a call ended with."""

    #: It could not be reached, or the connection broke.
    CONNECTION = "connection"
    #: It took the call, and nobody knows what became of it.
    STALL = "stall"
    #: It would not take the call.
    REFUSED = "refused"
    #: It answered that it is at fault (5xx, 429, bad credentials).
    SERVER = "server"
    #: Anything else that a function raised.
    ERROR = "error"


class CallOutcome(StrEnum):
    """One letter for each call that ended, as reports carry them."""

    OK = "o"
    SLOW = "s"
    FAILED = "f"
    FAILED_SLOWLY = "x"
    #: A permit that is given back: the probe was not made.
    NONE = "-"


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """When a breaker opens and closes; times in seconds, rates as shares 0-1.

    The defaults are weighed against resilience4j and Envoy in docs/how-to/breakers.md.

    Raises:
        InvalidBreaker: a number is out of range.
    """

    #: Calls of the last `window_s` count; with `window_calls`, the last so many calls.
    window_s: float = 60.0
    window_calls: int = 0
    #: With fewer calls in the window nothing opens.
    min_calls: int = 5
    failure_rate: float = 0.5
    #: A call that took longer is slow; 0: none is.
    slow_call_s: float = 0.0
    slow_call_rate: float = 1.0
    #: How long it stays open at first; each time in a row `open_factor` times as long.
    open_s: float = 5.0
    open_factor: float = 2.0
    max_open_s: float = 300.0
    #: Probes that a half-open one lets through, over all workers.
    half_open_permits: int = 3
    #: A permit whose holder is not heard of for so long may be had by others.
    permit_lease_s: float = 60.0
    #: Probes that must go well before it closes.
    success_threshold: int = 2
    #: Reporters that must have seen it fail, but never more than there are.
    quorum: int = 2
    #: Failures that count; others are left out of the window.
    kinds: frozenset[ErrorKind] = frozenset(ErrorKind)

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidBreaker(f"{name}: expected {low:g} to {high:g}, got {value!r}")
        if self.success_threshold > self.half_open_permits:
            raise InvalidBreaker(
                f"success_threshold: expected at most half_open_permits "
                f"({self.half_open_permits}), got {self.success_threshold}",
                hint="with fewer probes it could never close",
            )
        if 0 < self.window_calls < self.min_calls:
            raise InvalidBreaker(
                f"min_calls: expected at most window_calls ({self.window_calls}), "
                f"got {self.min_calls}",
                hint="with fewer calls it could never open",
            )
        if self.open_s > self.max_open_s:
            raise InvalidBreaker(
                f"open_s: expected at most max_open_s ({self.max_open_s:g}), got {self.open_s:g}"
            )


_RANGES = (
    ("window_s", 0.1, 86_400),
    ("window_calls", 0, 1000),
    ("min_calls", 1, 100_000),
    ("failure_rate", 0.001, 1),
    ("slow_call_s", 0, 86_400),
    ("slow_call_rate", 0.001, 1),
    ("open_s", 0.001, MOST_OPEN_S),
    ("open_factor", 1, 10),
    ("max_open_s", 0.001, MOST_OPEN_S),
    ("half_open_permits", 1, 1000),
    ("permit_lease_s", 0.001, MOST_OPEN_S),
    ("success_threshold", 1, 1000),
    ("quorum", 1, 1000),
)


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """A breaker as of `now_ms`; times in ms on Redis's clock.

    The counts are of the window while it is closed, else of the moment when it opened.
    """

    name: str
    state: BreakerState = BreakerState.CLOSED
    now_ms: int = 0
    since_ms: int = 0
    until_ms: int = 0
    #: How many times in a row it has opened.
    opens: int = 0
    calls: int = 0
    failures: int = 0
    slow: int = 0
    #: Who saw it fail.
    reporters: int = 0
    window_ms: int = 0
    window_calls: int = 0
    #: Probes that may still begin, of a half-open one.
    permits_left: int = 0
    successes: int = 0
    #: Who forced it.
    by: str = ""

    @property
    def retry_after_s(self) -> float:
        """Until when an open one lets nobody through, from `now_ms` on."""
        if self.state is BreakerState.OPEN:
            return max(0, self.until_ms - self.now_ms) / 1000
        return 0.0

    @property
    def words(self) -> str:
        """Its state and why, as tests, commands and pages say it. Times are UTC."""
        match self.state:
            case BreakerState.OPEN:
                # Of one that reserve has just found open no more is known yet.
                until = f" until {_time(self.until_ms)} ({self._counts})" if self.until_ms else ""
                return f"open{until}"
            case BreakerState.HALF_OPEN:
                left = f"{self.permits_left} {_plural('probe', self.permits_left)} left"
                return f"half-open, {left}, {self.successes} went well ({self._counts})"
            case BreakerState.CLOSED:
                return f"closed ({self._counts})" if self.calls else "closed"
            case _:
                return f"{self.state} by {self.by or 'somebody'} since {_time(self.since_ms)}"

    @property
    def refusal(self) -> str:
        """Why nothing new may go there now; "" when something may. Names the breaker, but that of
        an instance, which is said of its instance."""
        probing = self.state is BreakerState.HALF_OPEN
        if self.state.refuses or (probing and self.permits_left <= 0):
            of = "" if self.name.startswith(INSTANCE_BREAKER) else f"{self.name}: "
            return f"{of}breaker {self.words}"
        return ""

    def __str__(self) -> str:
        return f"<Breaker {self.name.removeprefix(INSTANCE_BREAKER)} {self.words}>"

    @property
    def _counts(self) -> str:
        parts = [f"{self.failures} {_plural('failure', self.failures)}"]
        if self.slow:
            parts[0] += f" and {self.slow} slow {_plural('call', self.slow)}"
        if self.window_calls:
            parts[0] += f" in {self.calls} {_plural('call', self.calls)}"
        else:
            parts[0] += f" in {self.window_ms / 1000:g} s"
        parts.append(f"{self.reporters} {_plural('reporter', self.reporters)}")
        return ", ".join(parts)


def first_refusal(names: Iterable[str], known: Mapping[str, BreakerSnapshot]) -> str:
    """Why the first of these breakers lets nothing new through; "" when all of them do. One that
    is not known is closed."""
    for name in names:
        if name in known and (refusal := known[name].refusal):
            return refusal
    return ""


def as_data(snapshot: BreakerSnapshot) -> dict[str, object]:
    """A snapshot as JSON has it, with its words."""
    data = {field.name: getattr(snapshot, field.name) for field in fields(snapshot)}
    return {**data, "state": snapshot.state.value, "words": snapshot.words}


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
