"""What a routing decision costs: `python -m benchmarks.routing [--json]`.

For each strategy and 10, 100 and 1,000 instances of 8 slots:

    us_per_decision   a tick of the LoadBalancer that plans slots for 500 tasks (for 10 instances:
                      as many as they have), over the tasks; the median of the rounds
    spread            max / mean of the load over the instances when they are about half full, from
                      an uneven start; 1 is perfectly even

Pure Python, no I/O: filters (pool, region, capability) are applied before, once per change of the
fleet; `filter_us` is what that costs, per instance and class.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import ROUNDS, emit, machine, tidy
from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from godel_tasks.domain.requirement import Requirement, RequirementClass
from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.capabilities import capabilities_of, preferences_of
from godel_tasks.policy.filters import InstanceFacts, refusal
from godel_tasks.policy.strategy import Candidate

TASKS = 500
CAPACITY = 8
SIZES = (10, 100, 1000)
REGIONS = ("eu", "us", "ap", "sa")
STRATEGIES = {
    "least-loaded": "least-loaded",
    "round-robin": "round-robin",
    "geo-aware": "geo-aware=eu,us",
    "capability-aware": "capability-aware",
    "fallback": "fallback=geo-aware@eu,round-robin@us,least-loaded",
}
PREFER = {"gpu": "yes", "memory_gb": {">=": 32, "weight": 2}}


def fleet(size: int, rng: random.Random) -> list[Candidate]:
    """Instances of several regions and kinds, a little busy already."""
    return [
        Candidate(
            f"i{n:04}", CAPACITY, CAPACITY - rng.randrange(3), rng.choice(REGIONS), "shared",
            {"gpu": rng.choice(("yes", "no")), "memory_gb": rng.choice(("16", "32", "64"))},
            rng.uniform(2, 80), rng.uniform(0, 0.3),
        )
        for n in range(size)
    ]  # fmt: skip


def wanted(strategy: str) -> RequirementClass:
    requirement = Requirement(strategy=strategy, preferences=preferences_of(PREFER))
    return RequirementClass("k", "shared", requirement)


def one_plan(strategy: str, size: int, rng: random.Random) -> tuple[float, float]:
    """Microseconds per decision, and the spread after it."""
    balancer = LoadBalancer(rng, region_order=("eu", "us"))
    candidates = fleet(size, rng)
    free = {c.instance_id: c for c in candidates}
    demand = Demand(wanted(strategy), 10**6, tuple(free))
    tasks = min(TASKS, sum(c.free for c in candidates))
    begun = time.perf_counter()
    planned = sum(balancer.plan([demand], free, tasks).slots.values())
    spent = time.perf_counter() - begun
    if planned != tasks:
        raise RuntimeError(f"{planned} of {tasks} slots planned")
    return spent / tasks * 1e6, _spread(strategy, size, rng)


def _spread(strategy: str, size: int, rng: random.Random) -> float:
    """After as many ticks as fill half of the fleet."""
    balancer = LoadBalancer(rng, region_order=("eu", "us"))
    candidates = fleet(size, rng)
    free = {c.instance_id: c for c in candidates}
    demand = Demand(wanted(strategy), 10**6, tuple(free))
    left = size * CAPACITY // 2 - sum(CAPACITY - c.free for c in candidates)
    while left > 0:
        left -= sum(balancer.plan([demand], free, min(256, left)).slots.values())
    loads = [c.load for c in candidates]
    return max(loads) / statistics.mean(loads)


def filter_us(size: int, rounds: int, rng: random.Random) -> float:
    """What the filters cost for one instance and class."""
    asked = RequirementClass("k", "shared", Requirement(capabilities_of({"gpu": "yes"})))
    facts = [
        InstanceFacts(
            InstanceConfig(
                c.instance_id, "x", capacity=CAPACITY, capabilities=dict(c.capabilities)
            ),
            InstanceStatus.UP,
            free=c.free,
        )
        for c in fleet(size, rng)
    ]
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for one in facts:
            refusal(asked, one)
        times.append((time.perf_counter() - begun) / size * 1e6)
    return statistics.median(times)


def measure(rounds: int) -> dict[str, Any]:
    rng = random.Random(1)
    figures: dict[str, Any] = {}
    for name, strategy in STRATEGIES.items():
        figures[name] = {}
        for size in SIZES:
            one_plan(strategy, size, rng)
            runs = [one_plan(strategy, size, rng) for _ in range(rounds)]
            figures[name][str(size)] = {
                "us_per_decision": tidy(statistics.median(cost for cost, _ in runs)),
                "spread": tidy(statistics.median(spread for _, spread in runs)),
            }
    return {
        **figures,
        "filter_us": tidy(filter_us(1000, rounds, rng)),
        "tasks": TASKS,
        "rounds": rounds,
        "machine": machine(),
        "calibration": calibrate(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    emit(measure(options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
