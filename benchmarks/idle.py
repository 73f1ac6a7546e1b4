"""What Godel costs while nothing is queued: `python -m benchmarks.idle [--json] [--seconds 60]`.

cpu_pct   CPU of each process over the time, in percent of one core
wake_ms   from just before `.delay()` to the start of the handler, of tasks that come one by one
          into a sleeping Godel (p50 and p99)
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import celery_worker, emit, machine, percentiles, tidy
from benchmarks.world import World, world

#: Tasks that are sent one by one, and the pause between two of them, in seconds.
WAKES = 200
PAUSE_S = (0.05, 0.15)


async def cpu_pct(w: World, seconds: float) -> dict[str, float]:
    before, begun = w.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - begun
    after = w.cpu_s()
    return {name: tidy((after[name] - before[name]) / took * 100) for name in after}


async def wakes(w: World) -> list[float]:
    from godel_tasks import submit_task

    rng = random.Random(1)
    results = []
    for i in range(WAKES):
        await asyncio.sleep(rng.uniform(*PAUSE_S))
        tenant = w.tenants[i % len(w.tenants)]
        results.append(await asyncio.to_thread(submit_task.delay, tenant, {"t": time.time()}))
    return [1000 * await asyncio.to_thread(result.get, 10) for result in results]


async def run(seconds: float) -> dict[str, Any]:
    async with world(
        handler="benchmarks.handlers:delay",
        instances=5,
        instance_processes=1,
        dispatchers=1,
        tenants=3,
        more=lambda server: [celery_worker(server, "workers.control", "control")],
    ) as w:
        await wakes(w)
        idle = await cpu_pct(w, seconds)
        woken = await wakes(w)
    return {
        "cpu_pct": idle,
        "wake_ms": percentiles(woken, 50, 99),
        "seconds": seconds,
        "machine": machine(),
        "calibration": calibrate(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What Godel costs while nothing is queued.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    emit(asyncio.run(run(options.seconds)), as_json=options.json)


if __name__ == "__main__":
    main()
