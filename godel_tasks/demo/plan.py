"""What the demo consists of: tenants, instances, and the work. Values only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.domain.scaling import ScalingPolicy, StepLimit
from godel_tasks.domain.task import Level

#: Weight by tenant. All submit equal work, so that weight is all they differ in.
TENANTS: Mapping[str, float] = MappingProxyType({"gold": 4.0, "silver": 2.0, "bronze": 1.0})
#: Tasks of all tenants together.
DEFAULT_TASKS = 3000
#: With fewer the queues are empty before anything can be killed while they are not.
LEAST_TASKS = 600
#: Share of the tasks that is submitted with `submit_tasks`, before any with `.delay()`.
IN_BULK = 0.8
DISPATCHERS = 2
HANDLER = "godel_tasks.demo.handler:summarise"

#: Seconds that a task waits "for a model", evenly spread; the work itself takes about 4 ms of CPU.
#: Slots times this is what one demo's speed hangs on, on any machine that has the CPU for it.
PAUSE_S = (0.01, 0.13)
_LEVELS = {Level.CRITICAL: 10, Level.HIGH: 20, Level.NORMAL: 50, Level.LOW: 20}
#: What tasks ask of their instance, and how often. At least two instances fit each, so that none of
#: it becomes impossible when one is killed.
_REQUIREMENTS: Mapping[str, tuple[dict[str, Any], int]] = MappingProxyType(
    {
        "nothing": ({}, 75),
        "region": ({"region": "eu"}, 15),
        "capability": ({"capabilities": {"model": "large"}}, 10),
    }
)


@dataclass(frozen=True, slots=True)
class InstancePlan:
    """One instance process."""

    instance_id: str
    region: str
    capacity: int
    capabilities: Mapping[str, str] = field(default_factory=dict)


INSTANCES = (
    InstancePlan("eu-1", "eu", 4, {"model": "large"}),
    InstancePlan("eu-2", "eu", 6, {"model": "small"}),
    InstancePlan("eu-3", "eu", 4, {"model": "small"}),
    InstancePlan("us-1", "us", 4, {"model": "large"}),
    InstancePlan("us-2", "us", 5, {"model": "large"}),
)


#: Instances that the auto-scaler may add to those above, while tasks wait.
GROWTH = 3
#: Act at once and forget soon: what takes minutes in a fleet is to be seen in seconds here.
POLICY = ScalingPolicy(
    DEFAULT_POOL,
    name="demo",
    max_instances=len(INSTANCES) + GROWTH,
    tolerance=0.0,
    down_window_s=3.0,
    cooldown_s=1.0,
    step_up=StepLimit(),
    step_down=StepLimit(),
    drain_deadline_s=10.0,
)


def template_of(journal: Path) -> InstanceTemplate:
    """What the auto-scaler makes instances from: every task fits, or the last ones of a tenant
    would wait for the few instances that suit them while there is room elsewhere. One journal for
    all of them."""
    options = {"handler": HANDLER, "journal": str(journal), "drain_timeout_s": "2"}
    return InstanceTemplate(
        POLICY.pool, capacity=4, region="eu", capabilities={"model": "large"}, options=options
    )


@dataclass(frozen=True, slots=True)
class KillPlan:
    """Who is killed, and when: once `after_share` (0-1) of all tasks is settled, and so many
    seconds after the kill before, but not later than at `latest_share`."""

    kind: str
    after_share: float
    latest_share: float
    after_s: float = 0.0


#: Both while the tenant of weight 4 has a backlog, which ends when 7/12 of all tasks are settled;
#: far enough apart that what the first hit is running again before the second.
KILLS = (
    KillPlan("instance", after_share=0.05, latest_share=0.05),
    KillPlan("dispatcher", after_share=0.2, latest_share=0.4, after_s=4.5),
)


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """An instance that runs at least `least_running` tasks stands still for `seconds`, once
    `after_share` (0-1) of all tasks is settled: long enough for its lease (3 s) to end, and enough
    of them for its breaker to open."""

    after_share: float
    least_running: int
    seconds: float


#: Once the tenant of weight 4 has no backlog any more, or shares would be measured over a fault.
FREEZE = FreezePlan(after_share=0.62, least_running=5, seconds=5.0)

#: A victim holds at least so many tasks when it is killed.
LEAST_HELD = 2


def work(count: int, texts: Sequence[str], *, seed: int = 1) -> Iterator[dict[str, Any]]:
    """`count` tasks of each tenant, tenants taking turns; fields of `submit_task.delay`.

    Each tenant gets the same texts, pauses, priorities and requirements.
    """
    rng = random.Random(seed)
    levels = rng.choices(list(_LEVELS), weights=list(_LEVELS.values()), k=count)
    wishes = list(_REQUIREMENTS.values())
    asked = rng.choices(
        [fields for fields, _ in wishes], weights=[often for _, often in wishes], k=count
    )
    for number in range(count):
        payload = {
            "text": texts[number % len(texts)],
            "pause_s": round(rng.uniform(*PAUSE_S), 4),
        }
        for tenant in TENANTS:
            yield {
                "tenant_id": tenant,
                "payload": payload,
                "priority": levels[number].name.lower(),
                **asked[number],
            }
