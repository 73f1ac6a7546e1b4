"""Scaling: what a pool's policy asks for, what a decision saw, what it came to. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class ScalingRule(StrEnum):
    """How a policy finds the number of instances."""

    #: The roadmap's: a step out while queue depth *and* utilisation are above, a step in while both
    #: are below.
    THRESHOLD = "threshold"
    #: Demand in slots over the slots of one instance.
    TARGET = "target"


class ScalingMode(StrEnum):
    """Whether a decision is acted on."""

    ACT = "act"
    RECOMMEND = "recommend"


class ScalingKind(StrEnum):
    """The roadmap's words for an action."""

    OUT = "scale-out"
    IN = "scale-in"


@dataclass(frozen=True, slots=True)
class StepLimit:
    """How much the size may change within `period_s`: the larger of `count` instances and `percent`
    of the size at the period's start. Both 0: as much as is wanted."""

    count: int = 0
    percent: float = 0.0
    period_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ScheduleFloor:
    """At least `floor` instances on these weekdays between two times of day.

    `days` is "mon-fri", "sat,sun" or "daily"; `start` and `end` are "HH:MM" in `timezone` (IANA).
    An end that is not after the start is on the next day, which `days` need not name.
    """

    floor: int
    days: str = "daily"
    start: str = "00:00"
    end: str = "00:00"
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """What an operator wants of one pool.

    Queue depths count waiting tasks, utilisations are shares 0-1 of the slots in use. Actions carry
    `name` as their reason, or the pool's name.
    """

    pool: str
    name: str = ""
    rule: ScalingRule = ScalingRule.TARGET
    mode: ScalingMode = ScalingMode.ACT
    min_instances: int = 0
    #: None: not set, so the policy recommends only.
    max_instances: int | None = None
    #: What one instance costs; with a ceiling for all of them. Both in dollars an hour.
    hourly_cost_usd: float = 0.0
    hourly_ceiling_usd: float | None = None
    #: Idle instances above what demand asks for.
    warm_instances: int = 0
    schedule: tuple[ScheduleFloor, ...] = ()

    # Rule "target". 0 slots: as the pool's instances say.
    slots_per_instance: int = 0
    #: The share of the slots that demand may fill.
    target_utilization: float = 1.0
    #: How long a task may wait: a queue of short tasks then asks for fewer slots than it is long.
    #: 0: each waiting task asks for a slot.
    wait_target_s: float = 0.0
    #: What a session that is pinned to an instance weighs, in slots.
    slots_per_session: float = 0.1
    tolerance: float = 0.1
    up_window_s: float = 0.0
    down_window_s: float = 300.0

    # Rule "threshold".
    scale_up_threshold: int = 10
    scale_up_utilization: float = 0.8
    scale_down_threshold: int = 0
    scale_down_utilization: float = 0.3
    step: int = 1

    cooldown_s: float = 60.0

    # Both rules.
    step_up: StepLimit = field(default_factory=lambda: StepLimit(4, 100.0, 15.0))
    step_down: StepLimit = field(default_factory=lambda: StepLimit(1, 20.0, 60.0))
    #: How long a cordoned instance may go on with what it runs.
    drain_deadline_s: float = 600.0
    #: Whether an instance that sessions are pinned to may be taken.
    take_pinned: bool = False
    #: How long a new instance may take until it is in the registry.
    start_timeout_s: float = 180.0

    @property
    def reason(self) -> str:
        return self.name or self.pool

    @property
    def acts(self) -> bool:
        """Whether decisions are carried out: never without a maximum, and never without a ceiling
        where instances cost money."""
        return (
            self.mode is ScalingMode.ACT
            and self.max_instances is not None
            and (self.hourly_cost_usd == 0 or self.hourly_ceiling_usd is not None)
        )


@dataclass(frozen=True, slots=True)
class InstanceLoad:
    """One instance of the pool that may be taken."""

    instance_id: str
    used: int = 0
    sessions: int = 0
    healthy: bool = True
    registered_ms: int = 0
    #: Where the provider gives up the one with the highest number first, and only that: its number.
    number: int | None = None


@dataclass(frozen=True, slots=True)
class ScalingInputs:
    """What a decision sees, all of it. `at_ms` is on Redis's clock.

    `up` instances take work; `starting` ones are asked for and not registered yet; `draining` ones
    take no new work, and what they still run counts in `running`, so that draining one does not
    look like less demand.
    """

    pool: str
    at_ms: int
    #: Waiting tasks that an instance of the pool could run.
    queued: int = 0
    #: Those of them whose provider's breaker is open.
    queued_blocked: int = 0
    #: Slots in use, orphaned ones too.
    running: int = 0
    #: Moving average of an attempt, 0 when not known.
    average_ms: float = 0.0
    sessions: int = 0
    up: int = 0
    starting: int = 0
    draining: int = 0
    #: Slots of one instance of the pool.
    slots_per_instance: float = 1.0
    #: Instances that are up and may be taken, and how many of them have sessions.
    removable: int = 0
    pinned: int = 0
    open_providers: tuple[str, ...] = ()
    #: Who may be taken; kept in the history only where somebody was.
    instances: tuple[InstanceLoad, ...] = ()

    @property
    def size(self) -> int:
        """The instances that there are, or will be without any further act."""
        return self.up + self.starting


@dataclass(frozen=True, slots=True)
class Recommended:
    """The same recommendation from `first_ms` to `last_ms`."""

    first_ms: int
    last_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Change:
    """The size was changed by `delta` at `at_ms`."""

    at_ms: int
    delta: int


@dataclass(frozen=True, slots=True)
class ScalingMemory:
    """What decisions remember from one to the next."""

    recommended: tuple[Recommended, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """What came of one look. `wanted` is the rule's answer, `clamps` say what bound it, `result` is
    the size to have; the roadmap's actions follow from `result - inputs.size`."""

    inputs: ScalingInputs
    rule: ScalingRule
    wanted: int
    clamps: tuple[str, ...]
    result: int
    reason: str
    #: False: it is a recommendation.
    acts: bool
    policy: str = ""
    #: Who is taken, when it is fewer.
    take: tuple[str, ...] = ()

    @property
    def delta(self) -> int:
        return self.result - self.inputs.size

    @property
    def why(self) -> str:
        """The rule's reason, and what bound its wish."""
        return "; ".join((self.reason, *self.clamps))


@dataclass(frozen=True, slots=True)
class ScalingAction:
    """The roadmap's answer of `evaluate_scaling()`; `reason` is the policy's name."""

    type: ScalingKind
    instance_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScalingAct:
    """Something that was done, or that failed, after a decision: "spawned", "cordoned", "removed",
    "taken back", "failed"."""

    at_ms: int
    type: ScalingKind
    instance_id: str
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Draining:
    """A cordoned instance on its way out. `cordoned`: it takes no new work since then; `removing`:
    its removal has been begun."""

    instance_id: str
    since_ms: int
    deadline_ms: int
    cordoned: bool = False
    removing: bool = False
    #: Removals that failed, and when the next one is due.
    failures: int = 0
    again_ms: int = 0


@dataclass(frozen=True, slots=True)
class Spawning:
    """A new instance that was asked for. `key` names the request; `instance_id` is "" until the
    provider has answered."""

    key: str
    at_ms: int
    #: When it is given up.
    until_ms: int
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class PoolState:
    """What is stored of a pool's scaling: whoever decides next goes on from here."""

    memory: ScalingMemory = field(default_factory=ScalingMemory)
    spawning: tuple[Spawning, ...] = ()
    draining: tuple[Draining, ...] = ()
    #: Spawns that failed in a row, and when the next one may be tried.
    failures: int = 0
    again_ms: int = 0

    @property
    def busy(self) -> bool:
        """Something is under way that has to be brought to an end."""
        return bool(self.spawning or self.draining)
