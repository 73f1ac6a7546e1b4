"""Strategies and a small world of one pool, for properties of scaling."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from godel_tasks.domain.scaling import (
    InstanceLoad,
    ScalingDecision,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
    ScalingRule,
    StepLimit,
)
from godel_tasks.policy.scaling import decide
from godel_tasks.policy.scaling.decide import changed

NOW_MS = 1_800_000_000_000
TICK_MS = 2000

steps = st.builds(
    StepLimit,
    count=st.integers(0, 5),
    percent=st.sampled_from([0.0, 20.0, 100.0]),
    period_s=st.sampled_from([0.0, 15.0, 60.0]),
)


@st.composite
def policies(draw: st.DrawFn, /, **fixed: object) -> ScalingPolicy:
    """Any policy that the door lets in, and that acts."""
    most = draw(st.integers(0, 40))
    values: dict[str, object] = {
        "pool": "shared",
        "rule": draw(st.sampled_from(ScalingRule)),
        "max_instances": most,
        "min_instances": draw(st.integers(0, most)),
        "warm_instances": draw(st.integers(0, min(most, 3))),
        "target_utilization": draw(st.sampled_from([0.5, 0.8, 1.0])),
        "tolerance": draw(st.sampled_from([0.0, 0.1, 0.3])),
        "up_window_s": draw(st.sampled_from([0.0, 10.0])),
        "down_window_s": draw(st.sampled_from([0.0, 20.0])),
        "cooldown_s": draw(st.sampled_from([0.0, 10.0])),
        "step": draw(st.integers(1, 4)),
        "step_up": draw(steps),
        "step_down": draw(steps),
        "take_pinned": draw(st.booleans()),
        "slots_per_session": draw(st.sampled_from([0.0, 0.1, 1.0])),
    }
    return ScalingPolicy(**{**values, **fixed})  # type: ignore[arg-type]


@st.composite
def seen(draw: st.DrawFn) -> ScalingInputs:
    """Anything that a look may see."""
    up = draw(st.integers(0, 30))
    removable = draw(st.integers(0, up))
    pinned = draw(st.integers(0, removable))
    queued = draw(st.integers(0, 200))
    instances = tuple(
        InstanceLoad(f"i{n}", draw(st.integers(0, 3)), int(n < pinned)) for n in range(removable)
    )
    return ScalingInputs(
        pool="shared",
        at_ms=NOW_MS,
        queued=queued,
        queued_blocked=draw(st.integers(0, queued)),
        running=draw(st.integers(0, 100)),
        sessions=draw(st.integers(0, 10)),
        up=up,
        starting=draw(st.integers(0, 5)),
        slots_per_instance=float(draw(st.integers(1, 8))),
        removable=removable,
        pinned=pinned,
        open_providers=("acme",),
        instances=instances,
    )


@dataclass
class PoolWorld:
    """One pool under constant demand: so many tasks are always there, running or waiting. New
    instances take `start_ticks` to come, cordoned ones `drain_ticks` to go."""

    policy: ScalingPolicy
    demand: int
    slots: int
    up: int
    start_ticks: int = 3
    drain_ticks: int = 3
    now_ms: int = NOW_MS
    memory: ScalingMemory = field(default_factory=ScalingMemory)
    starting: list[int] = field(default_factory=list)
    draining: list[int] = field(default_factory=list)
    history: list[ScalingDecision] = field(default_factory=list)

    def look(self) -> ScalingInputs:
        running = min(self.demand, (self.up + len(self.draining)) * self.slots)
        return ScalingInputs(
            pool="shared",
            at_ms=self.now_ms,
            queued=self.demand - running,
            running=running,
            up=self.up,
            starting=len(self.starting),
            draining=len(self.draining),
            slots_per_instance=float(self.slots),
            removable=self.up,
            instances=tuple(InstanceLoad(f"i{n}") for n in range(self.up)),
        )

    def tick(self) -> ScalingDecision:
        """Time passes, and one look is decided on and carried out."""
        self.now_ms += TICK_MS
        self.up += sum(left <= 1 for left in self.starting)
        self.starting = [left - 1 for left in self.starting if left > 1]
        self.draining = [left - 1 for left in self.draining if left > 1]
        decision, self.memory = decide(self.policy, self.look(), self.memory)
        self.history.append(decision)
        if not decision.acts:
            return decision
        delta = max(0, decision.delta) - len(decision.take)
        self.memory = changed(self.memory, self.now_ms, delta)
        self.starting += [self.start_ticks] * max(0, decision.delta)
        self.up -= len(decision.take)
        self.draining += [self.drain_ticks] * len(decision.take)
        return decision

    @property
    def size(self) -> int:
        return self.up + len(self.starting)


def with_work(inputs: ScalingInputs, *, queued: int = 0, running: int = 0) -> ScalingInputs:
    """The same with more work."""
    return replace(inputs, queued=inputs.queued + queued, running=inputs.running + running)
