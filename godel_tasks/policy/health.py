"""Health: from what probes and real attempts show to one word with a reason. Pure.

Each look at an instance speaks for some health; the health in force follows with hysteresis, so
many looks in a row to fall, so many to rise, and is damped: what falls again and again is held
down for a while (damping.py). What a look leaves for the next one is a `Memory`, which any worker
may read: nobody has to probe the same instance twice in a row.

A zombie answers probes and ends nothing. A long turn does that, too, so silence only makes suspect:
then the instance is asked to run a no-op where attempts run, and only when that fails, twice, it is
called one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from godel_tasks.domain.instance import (
    Health,
    HealthComponents,
    HealthStatus,
    Work,
    WorkProbe,
)
from godel_tasks.policy.damping import DampingRules, Penalty

#: How dispatchers count ends: these show that work gets done there, whatever its result ...
DONE = frozenset({"ok", "failed", "cancelled"})
#: ... these that something is wrong with the instance ...
LOST = frozenset({"lost", "timed_out"})
#: ... and this that it took nothing.
REFUSED = "refused"
_SEVERITY = {Health.HEALTHY: 0, Health.DEGRADED: 1, Health.UNHEALTHY: 2}


@dataclass(frozen=True, slots=True)
class HealthRules:
    """Times in milliseconds, shares 0-1. Looks count in a row."""

    every_ms: int = 5000
    #: When something is amiss, so that a verdict does not take long.
    soon_ms: int = 1000
    bad_to_fall: int = 3
    good_to_rise: int = 2
    #: Ends are averaged with this half-life, and judged from so many on.
    half_life_ms: int = 30_000
    least_ends: float = 5.0
    lost_degraded: float = 0.2
    lost_unhealthy: float = 0.5
    #: Of handlers that raised: it may be the tenants' fault, so never unhealthy.
    failed_degraded: float = 0.8
    slow_ms: float = 1000.0
    #: Nothing ended for so long, though there was work: suspect.
    zombie_after_ms: int = 8000
    stuck_to_fall: int = 2
    stuck_to_lose: int = 10
    damping: DampingRules = field(default_factory=DampingRules)


class Memory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a look leaves for the next one."""

    generation: int = 0
    health: str = Health.HEALTHY.value
    reason: str = ""
    #: Looks in a row that spoke for another health, and the nearest one that they spoke for.
    streak: int = 0
    toward: str = ""
    penalty: Penalty = Penalty()
    latency_ms: float = 0.0
    at_ms: int = 0
    #: Ends as of the last look, and their decaying numbers.
    counts: dict[str, int] = {}
    recent: dict[str, float] = {}
    #: When something was last seen to end there, or there was nothing to do.
    moved_ms: int = 0
    #: When an attempt was last seen to end well.
    ok_ms: int = 0
    #: Work probes in a row that failed, and what the last one said.
    stuck: int = 0
    stuck_because: str = ""
    #: It was told that this generation is drained.
    drained: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `answer` is None where the instance was not asked; `unsure`: it should have been,
    and nothing can be said of it, so what is wrong is not taken to be over. `work` is None where
    it was not asked to work, or cannot say; `counts` are ends that dispatchers saw since it
    registered."""

    generation: int
    at_ms: int
    answer: HealthStatus | None
    unsure: bool = False
    draining: bool = False
    slots_used: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    work: WorkProbe | None = None


@dataclass(frozen=True, slots=True)
class HealthDecision:
    """The health in force from now on, why, and when to look again. `lost`: it is to be treated
    as dead, so that what it holds runs elsewhere."""

    health: Health
    reason: str
    latency_ms: float
    components: HealthComponents
    memory: Memory
    next_in_ms: int
    zombie: bool = False
    lost: bool = False
    drained: bool = False


def suspect(memory: Memory, look: Look, rules: HealthRules) -> bool:
    """Whether to ask for work, too: before `judge`, of a look that has not asked yet."""
    now = _recall(memory, look, rules)
    return now.stuck > 0 or look.at_ms - now.moved_ms >= rules.zombie_after_ms


def judge(memory: Memory, look: Look, rules: HealthRules) -> HealthDecision:
    """What a look means, after all that was seen before."""
    now = _recall(memory, look, rules)
    now = _heard(now, look)
    before = Health(now.health)
    spoken, reason = max(_voices(now, look, rules), key=lambda voice: _SEVERITY[voice[0]])
    if look.unsure and _SEVERITY[spoken] < _SEVERITY[before]:
        spoken, reason = before, now.reason
    zombie = now.stuck >= rules.stuck_to_fall
    health, now = _follow(before, spoken, now, rules, at_once=zombie)
    reason = _explain(health, spoken, reason, now, rules)
    drained = look.draining and look.slots_used == 0 and not now.drained
    quiet = not now.streak and not now.stuck and look.at_ms - now.moved_ms < rules.zombie_after_ms
    return HealthDecision(
        health,
        reason,
        now.latency_ms,
        look.answer.components if look.answer else HealthComponents(),
        replace(
            now,
            health=health.value,
            reason=reason,
            drained=look.draining and (now.drained or drained),
        ),
        rules.every_ms if quiet else rules.soon_ms,
        zombie=zombie,
        lost=now.stuck >= rules.stuck_to_lose and look.slots_used > 0,
        drained=drained,
    )


def _recall(memory: Memory, look: Look, rules: HealthRules) -> Memory:
    """Memory as of this look: what ended since is added, and what is old fades."""
    penalty = memory.penalty.at(look.at_ms, rules.damping)
    if memory.generation != look.generation:
        # Started anew: nothing holds but that it flapped, and that it was seen not to work.
        memory = Memory(
            generation=look.generation,
            health=memory.health if memory.stuck else Health.HEALTHY.value,
            reason=memory.reason if memory.stuck else "",
            stuck=memory.stuck,
            stuck_because=memory.stuck_because,
            at_ms=look.at_ms,
            moved_ms=look.at_ms,
        )
    fade = 2 ** (-max(0, look.at_ms - memory.at_ms) / rules.half_life_ms)
    ended = {
        name: max(0, count - memory.counts.get(name, 0)) for name, count in look.counts.items()
    }
    recent = {
        name: memory.recent.get(name, 0.0) * fade + ended.get(name, 0)
        for name in memory.recent.keys() | ended.keys()
    }
    done = any(ended.get(name) for name in DONE)
    idle = look.slots_used == 0 and not any(ended.get(name) for name in (*LOST, REFUSED))
    return replace(
        memory,
        penalty=penalty,
        at_ms=look.at_ms,
        counts=dict(look.counts),
        recent={name: round(value, 3) for name, value in recent.items() if value >= 0.01},
        ok_ms=look.at_ms if ended.get("ok") else memory.ok_ms,
        moved_ms=look.at_ms if done or (idle and not memory.stuck) else memory.moved_ms,
    )


def _heard(now: Memory, look: Look) -> Memory:
    """What the instance said of itself."""
    if look.work is not None:
        failed = look.work.outcome is Work.FAILED
        now = replace(
            now,
            stuck=now.stuck + 1 if failed else 0,
            stuck_because=look.work.detail if failed else "",
        )
    answer = look.answer
    if answer is not None and answer.status is not Health.UNHEALTHY:
        before = now.latency_ms
        mean = 0.7 * before + 0.3 * answer.latency_ms if before else answer.latency_ms
        now = replace(now, latency_ms=round(mean, 2))
    return now


def _voices(now: Memory, look: Look, rules: HealthRules) -> Iterator[tuple[Health, str]]:
    """What speaks for which health; the first of the gravest counts."""
    yield Health.HEALTHY, ""
    if now.stuck >= rules.stuck_to_fall:
        why = now.stuck_because or "a no-op did not run"
        yield Health.UNHEALTHY, f"zombie: it answers, and does no work: {why}"
    answer = look.answer
    if answer is not None and answer.status is Health.UNHEALTHY:
        error = answer.error or "it says that it is unhealthy"
        if now.ok_ms and look.at_ms - now.ok_ms < 2 * rules.every_ms:
            # The way from here to there is not the one that attempts take.
            yield Health.DEGRADED, f"a probe failed, though attempts end well there: {error}"
        else:
            yield Health.UNHEALTHY, error
    lost, failed, ends = _shares(now)
    if ends >= rules.least_ends and lost >= rules.lost_degraded:
        grave = lost >= rules.lost_unhealthy
        health = Health.UNHEALTHY if grave else Health.DEGRADED
        yield health, f"{lost:.0%} of its attempts were lost or ran out of time lately"
    if answer is not None and answer.status is Health.DEGRADED and not look.draining:
        yield Health.DEGRADED, answer.error or "it says that it is degraded"
    if answer is not None:
        for part in ("database", "memory", "agents", "channels"):
            if getattr(answer.components, part) is False:
                yield Health.DEGRADED, f"its {part} is not well"
    if ends >= rules.least_ends and failed >= rules.failed_degraded:
        yield Health.DEGRADED, f"{failed:.0%} of its attempts failed lately"
    if now.latency_ms > rules.slow_ms:
        yield Health.DEGRADED, f"it answers slowly: {now.latency_ms:.0f} ms"


def _shares(now: Memory) -> tuple[float, float, float]:
    """Of ends lately: the share that was lost, the share that failed, and how many there were."""
    ends = sum(now.recent.get(name, 0.0) for name in (*DONE, *LOST))
    if ends <= 0:
        return 0.0, 0.0, 0.0
    lost = sum(now.recent.get(name, 0.0) for name in LOST)
    return lost / ends, now.recent.get("failed", 0.0) / ends, ends


def _follow(
    before: Health, spoken: Health, now: Memory, rules: HealthRules, *, at_once: bool
) -> tuple[Health, Memory]:
    """Hysteresis and damping: the health in force, and what to remember of it."""
    step = _SEVERITY[spoken] - _SEVERITY[before]
    if step == 0:
        return before, replace(now, streak=0, toward="")
    falling = step > 0
    known = Health(now.toward) if now.toward else spoken
    same_way = (_SEVERITY[known] > _SEVERITY[before]) is falling
    # Of the looks of a streak, the one that asks for the smallest step is followed.
    if same_way and now.toward:
        nearest = min if falling else max
        toward = nearest(known, spoken, key=lambda health: _SEVERITY[health])
        streak = now.streak + 1
    else:
        toward, streak = spoken, 1
    if at_once and falling:
        toward, streak = spoken, rules.bad_to_fall
    needed = rules.bad_to_fall if falling else rules.good_to_rise
    held = not falling and now.penalty.suppressed
    if streak < needed or held:
        return before, replace(now, streak=streak, toward=toward.value)
    penalty = now.penalty.after_fall(rules.damping) if falling else now.penalty
    return toward, replace(now, streak=0, toward="", penalty=penalty)


def _explain(health: Health, spoken: Health, reason: str, now: Memory, rules: HealthRules) -> str:
    if _SEVERITY[spoken] > _SEVERITY[health]:
        return f"{reason} ({now.streak} of {rules.bad_to_fall} looks)"
    if _SEVERITY[spoken] == _SEVERITY[health]:
        return reason
    held_s = now.penalty.held_for_ms(rules.damping) / 1000
    if held_s:
        return f"held down for {held_s:.0f} s more: it has fallen too often"
    return f"it looks better ({now.streak} of {rules.good_to_rise} looks)"
