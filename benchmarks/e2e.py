"""End to end, submit to readable result: `python -m benchmarks.e2e [--json] [--tasks N ...]`.

    throughput_per_s       tasks submitted while dispatching, over the time until the last result
                           can be read through AsyncResult; the median of the rounds
    ready_to_delivered_ms  from just before submit to the start of the handler, at half that load;
                           each submit (one every 10 ms) is for one tenant, in turns
    spread_ready_to_...    the same with every submit spread over all tenants
    cpu_us_per_task        CPU time of each kind of process per task, in the throughput rounds
    lost, duplicates       tasks without a readable result; settlements beyond one per task

No-op handlers in `grpc` instances (several to a process), an embedded server with AOF every
second, all on this machine, one producer that uses `submit_tasks`. A real gateway does about 2
turns a second.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import ROUNDS, emit, machine, medians, percentiles, tidy
from benchmarks.world import World, world
from godel_tasks.store.command import plain
from godel_tasks.store.keys import result_key

#: Seconds of the half-load phase, and between its submits.
LATENCY_S = 8.0
EVERY_S = 0.01
CHUNK = 1000


def missing(w: World, ids: list[str]) -> int:
    """How many have no result yet."""
    found = 0
    for i in range(0, len(ids), CHUNK):
        keys = [result_key(task_id) for task_id in ids[i : i + CHUNK]]
        found += w.runtime.results.run(plain("EXISTS", *keys, decode=int))
    return len(ids) - found


async def settled(w: World, target: int, timeout_s: float) -> None:
    """Wait until the tenants' counters say so; looks rarely, so as not to be part of the load."""
    ends_at = time.monotonic() + timeout_s
    while w.succeeded() < target and time.monotonic() < ends_at:
        await asyncio.sleep(0.05)


async def one_round(w: World, tasks: int, *, payload: object = None) -> dict[str, float]:
    """Submit as fast as one producer can, wait for the last result. The payload is the time of its
    submit, where none is given."""
    from godel_tasks import submit_tasks

    items = [
        {"tenant_id": w.tenants[i % len(w.tenants)], "payload": payload or {"t": time.time()}}
        for i in range(tasks)
    ]
    before, cpu_before = w.succeeded(), w.cpu_s()
    begun = time.perf_counter()
    submissions = await asyncio.to_thread(submit_tasks, items)
    submitted = time.perf_counter()
    ids = [s.task_id for s in submissions if s.ok]
    await settled(w, before + len(ids), timeout_s=120)
    while (lost := missing(w, ids)) and time.perf_counter() - begun < 150:
        await asyncio.sleep(0.02)
    ended = time.perf_counter()
    cpu = w.cpu_s()
    return {
        "throughput_per_s": len(ids) / (ended - begun),
        "submitted_per_s": len(ids) / (submitted - begun),
        "lost": float(lost + tasks - len(ids)),
        "duplicates": float(w.succeeded() - before - len(ids) + lost),
        **{f"cpu.{k}": (cpu[k] - cpu_before[k]) / tasks * 1e6 for k in cpu},
    }


async def half_load(w: World, per_s: float, *, spread: bool) -> list[float]:
    """Delays in ms of tasks that come at a steady rate: each submit for one tenant, in turns, or
    `spread` over all of them."""
    from godel_tasks import app, submit_tasks

    batch = max(1, round(per_s * EVERY_S))
    ids: list[str] = []
    begun = time.perf_counter()
    number = 0
    while (now := time.perf_counter()) - begun < LATENCY_S:
        due = begun + number * EVERY_S
        if now < due:
            time.sleep(due - now)
        items = [
            {
                "tenant_id": w.tenants[(number + spread * i) % len(w.tenants)],
                "payload": {"t": time.time()},
            }
            for i in range(batch)
        ]
        ids += [s.task_id for s in submit_tasks(items) if s.ok]
        number += 1
    while missing(w, ids):
        await asyncio.sleep(0.05)
    sample = ids[len(ids) // 10 :: max(1, len(ids) // 5000)]
    return [app.AsyncResult(task_id).get(timeout=5) * 1000 for task_id in sample]


async def run(options: argparse.Namespace) -> dict[str, Any]:
    async with world(
        handler="benchmarks.handlers:delay",
        instances=options.instances,
        instance_processes=options.processes,
        dispatchers=options.dispatchers,
        tenants=options.tenants,
    ) as w:
        await one_round(w, min(5_000, options.tasks))
        rounds = [await one_round(w, options.tasks) for _ in range(options.rounds)]
        middle = medians(rounds)
        half = middle["throughput_per_s"] / 2
        delays = await half_load(w, half, spread=False)
        spread = await half_load(w, half, spread=True)
    cpu = {k.removeprefix("cpu."): v for k, v in middle.items() if k.startswith("cpu.")}
    return {
        "throughput_per_s": middle["throughput_per_s"],
        "submitted_per_s": middle["submitted_per_s"],
        "ready_to_delivered_ms": percentiles(delays, 50, 95, 99),
        "spread_ready_to_delivered_ms": percentiles(spread, 50, 95, 99),
        "cpu_us_per_task": {name: tidy(value) for name, value in cpu.items()},
        "lost": int(sum(r["lost"] for r in rounds)),
        "duplicates": int(sum(r["duplicates"] for r in rounds)),
        "rounds": [tidy(r["throughput_per_s"]) for r in rounds],
        "settings": {
            name: getattr(options, name)
            for name in ("tasks", "instances", "processes", "tenants", "dispatchers")
        },
        "machine": machine(),
        "calibration": calibrate(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--tasks", type=int, default=40_000, help="tasks in a round")
    parser.add_argument("--instances", type=int, default=50)
    parser.add_argument("--processes", type=int, default=4, help="OS processes of the instances")
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--dispatchers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    emit(asyncio.run(run(options)), as_json=options.json)


if __name__ == "__main__":
    main()
