"""The circuit breaker as plain Python: what the scripts in store/lua/breaker_*.lua do, in values.

    closed ── too many failed or slow, and a quorum saw it ──▶ open
    open ── its time is up ──▶ half-open
    half-open ── a probe fails or is slow ──▶ open (for longer)
    half-open ── enough probes went well ──▶ closed
    any ── a person ──▶ forced-open, forced-closed ── a person lifts it ──▶ closed

The scripts decide where processes share a breaker; a process that cannot ask Redis judges for
itself by this model (`godel_tasks.breakers`). A test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from godel_tasks.domain.breaker import BreakerConfig, BreakerSnapshot, BreakerState, CallOutcome

_FAILED = frozenset("fx")
_SLOW = frozenset("sx")
#: A window by time is counted in so many buckets.
BUCKETS = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of a window; `reporters` are those that saw one fail or be slow."""

    calls: int = 0
    failures: int = 0
    slow: int = 0
    reporters: int = 0


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker; times in ms. `why` is what its window held when it opened."""

    state: BreakerState = BreakerState.CLOSED
    since_ms: int = 0
    until_ms: int = 0
    opens: int = 0
    why: Counts = field(default_factory=Counts)
    by: str = ""
    window_ms: int = 0
    window_calls: int = 0
    #: Letters of the last calls, for a window by calls.
    ring: str = ""
    #: Bucket → calls, failures, slow ones, for a window by time.
    buckets: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    #: Reporter → when it told of anything; of a failure.
    heard: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    permits: int = 0
    lease_ms: int = 0
    #: Permit → when its lease ends.
    held: Mapping[str, int] = field(default_factory=dict)
    successes: int = 0

    def state_at(self, now_ms: int) -> BreakerState:
        """An open one whose time is up is half-open."""
        if self.state is BreakerState.OPEN and now_ms >= self.until_ms:
            return BreakerState.HALF_OPEN
        return self.state


def report(
    breaker: Breaker,
    config: BreakerConfig,
    *,
    now_ms: int,
    reporter: str,
    outcomes: str = "",
    probes: Mapping[str, str] | None = None,
    live: int = 0,
) -> Breaker:
    """How calls ended (see `BreakerCommands.report`)."""
    if breaker.state is BreakerState.HALF_OPEN:
        return _probed(breaker, config, now_ms, probes or {})
    if breaker.state is not BreakerState.CLOSED:
        return breaker
    letters = (outcomes + "".join((probes or {}).values())).replace(CallOutcome.NONE, "")
    if not letters:
        return breaker
    breaker = _recorded(breaker, config, now_ms, reporter, letters)
    counts = window(breaker, now_ms)
    horizon = now_ms - breaker.window_ms
    there = live or sum(1 for at in breaker.heard.values() if at > horizon)
    too_many = (
        counts.failures >= config.failure_rate * counts.calls
        or counts.slow >= config.slow_call_rate * counts.calls
    )
    seen_by_enough = counts.reporters >= max(1, min(config.quorum, there))
    if counts.calls >= config.min_calls and seen_by_enough and too_many:
        return _opened(breaker, config, now_ms, counts)
    return breaker


def acquire(breaker: Breaker, names: Sequence[str], *, now_ms: int) -> tuple[Breaker, int]:
    """How many of these calls may begin, the first ones, and what the breaker is then."""
    state = breaker.state_at(now_ms)
    if state.lets_through:
        return breaker, len(names)
    if state.refuses:
        return breaker, 0
    if breaker.state is BreakerState.OPEN:
        breaker = replace(
            breaker, state=state, since_ms=now_ms, held={}, successes=0, ring="", buckets={}
        )
    held = {name: end for name, end in breaker.held.items() if end > now_ms}
    left, granted = max(0, breaker.permits - len(held) - breaker.successes), 0
    for name in names:
        if name not in held:
            if left == 0:
                break
            left -= 1
        granted += 1
        held[name] = now_ms + breaker.lease_ms
    return replace(breaker, held=held), granted


def force(breaker: Breaker, state: BreakerState | None, *, now_ms: int, who: str) -> Breaker:
    """Held by a person; None: left to itself again."""
    if state is not None:
        return Breaker(state, now_ms, by=who)
    return Breaker(since_ms=now_ms) if breaker.by else breaker


def look(breaker: Breaker, name: str, *, now_ms: int) -> BreakerSnapshot:
    """What can be told of it."""
    state = breaker.state_at(now_ms)
    counts = window(breaker, now_ms) if state is BreakerState.CLOSED else breaker.why
    left = 0
    if state is BreakerState.HALF_OPEN:
        held = sum(1 for end in breaker.held.values() if end > now_ms)
        left = max(0, breaker.permits - held - breaker.successes)
    return BreakerSnapshot(
        name,
        state,
        now_ms,
        breaker.since_ms,
        breaker.until_ms,
        breaker.opens,
        counts.calls,
        counts.failures,
        counts.slow,
        counts.reporters,
        breaker.window_ms,
        breaker.window_calls,
        left,
        breaker.successes,
        breaker.by,
    )


def window(breaker: Breaker, now_ms: int) -> Counts:
    """What its window holds."""
    horizon = now_ms - breaker.window_ms
    reporters = sum(1 for at in breaker.failed.values() if at > horizon)
    if breaker.window_calls:
        failures, slow = _count(breaker.ring, _FAILED), _count(breaker.ring, _SLOW)
        return Counts(len(breaker.ring), failures, slow, reporters)
    if not breaker.window_ms:
        return Counts()
    oldest = _bucket(breaker.window_ms, now_ms) - BUCKETS
    rows = [row for number, row in breaker.buckets.items() if number > oldest]
    calls, failures, slow = (sum(row[i] for row in rows) for i in range(3))
    return Counts(calls, failures, slow, reporters)


def _recorded(
    breaker: Breaker, config: BreakerConfig, now_ms: int, reporter: str, letters: str
) -> Breaker:
    window_ms = max(1, round(config.window_s * 1000))
    same = (breaker.window_ms, breaker.window_calls) == (window_ms, config.window_calls)
    bucket, horizon = _bucket(window_ms, now_ms), now_ms - window_ms
    buckets = {n: row for n, row in breaker.buckets.items() if same and n > bucket - BUCKETS}
    heard = {who: at for who, at in breaker.heard.items() if at > horizon} | {reporter: now_ms}
    failed = {who: at for who, at in breaker.failed.items() if at > horizon}
    failures, slow = _count(letters, _FAILED), _count(letters, _SLOW)
    if failures + slow:
        failed[reporter] = now_ms
    ring = breaker.ring if same else ""
    if config.window_calls:
        ring = (ring + letters)[-config.window_calls :]
    else:
        calls, before, slow_before = buckets.get(bucket, (0, 0, 0))
        buckets[bucket] = (calls + len(letters), before + failures, slow_before + slow)
    return replace(
        breaker,
        window_ms=window_ms,
        window_calls=config.window_calls,
        ring=ring,
        buckets=buckets,
        heard=heard,
        failed=failed,
    )


def _probed(
    breaker: Breaker, config: BreakerConfig, now_ms: int, probes: Mapping[str, str]
) -> Breaker:
    """Only permits that are held count, each once."""
    letters = "".join(letter for name, letter in probes.items() if name in breaker.held)
    held = {name: end for name, end in breaker.held.items() if name not in probes}
    made = letters.replace(CallOutcome.NONE, "")
    failures, slow = _count(made, _FAILED), _count(made, _SLOW)
    well = breaker.successes + len(made)
    if failures + slow:
        return _opened(breaker, config, now_ms, Counts(well, failures, slow, 1))
    if well >= config.success_threshold:
        return Breaker(since_ms=now_ms, until_ms=breaker.until_ms, opens=breaker.opens)
    return replace(breaker, held=held, successes=well)


def _opened(breaker: Breaker, config: BreakerConfig, now_ms: int, why: Counts) -> Breaker:
    """Twice as long each time in a row, up to a cap, and never for less than it was to be."""
    opens, max_open_ms = breaker.opens, max(1, round(config.max_open_s * 1000))
    if breaker.state is BreakerState.CLOSED and now_ms - breaker.since_ms >= max_open_ms:
        opens = 0
    open_ms = max(1, round(config.open_s * 1000))
    lasts_ms = min(max_open_ms, math.floor(open_ms * config.open_factor**opens))
    return Breaker(
        BreakerState.OPEN,
        now_ms,
        max(breaker.until_ms, now_ms + lasts_ms),
        opens + 1,
        why,
        window_ms=max(1, round(config.window_s * 1000)),
        window_calls=config.window_calls,
        permits=config.half_open_permits,
        lease_ms=max(1, round(config.permit_lease_s * 1000)),
    )


def _bucket(window_ms: int, now_ms: int) -> int:
    return now_ms // math.ceil(window_ms / BUCKETS)


def _count(letters: str, of: frozenset[str]) -> int:
    return sum(1 for letter in letters if letter in of)
