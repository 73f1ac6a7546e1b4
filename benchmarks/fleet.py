"""A fleet on one machine: `python -m benchmarks.fleet [--json] [--seconds N]`.

    processes, processes_serving    real instance processes; how many of them ended work in every
                                    slice of the time (the smallest number over the slices)
    simulated, simulated_serving    instances of a few processes, several hundred in each, behind
                                    one dispatcher; how many of them ended work
    heartbeats_missed               leases that were over before they were renewed, in both parts;
                                    `late` ones came after 1.5 intervals, and in time
    lost, duplicates                accepted tasks without a readable result; settlements beyond one

Real processes take turns of 0.2 s under a steady load. `start_s` is the time from starting all of
them until the last is registered, `rss_mb` the resident memory of each (what it shares with the
others is in each figure). Lease ends are read from the registry, on Redis's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.calibrate import calibrate
from benchmarks.common import emit, machine, percentiles, processes, tidy
from benchmarks.heartbeats import Beats, watch
from benchmarks.journals import Journals, Runs
from benchmarks.load import Load, listening, steady
from benchmarks.world import ROOT, World, spread, world
from godel_tasks.supervisor.spec import ProcessSpec

#: Seconds of a slice, in each of which every real process has to serve.
SLICE_S = 10.0
TURN_S = 0.2
#: Seconds in which all must be registered, and in which everything must be settled at the end.
START_S = 180.0
END_S = 60.0


def instance_spec(name: str, folder: Path, capacity: int, count: int = 1) -> ProcessSpec:
    godel = str(Path(sys.executable).with_name("godel"))
    flags = ("--id", name, "--capacity", str(capacity), "--count", str(count))
    journal = ("--journal", str(folder / f"{name}.jsonl"))
    return ProcessSpec(
        name=name,
        role="instance",
        command=(godel, "instance", "--handler", "benchmarks.handlers:turn", *flags, *journal),
        cwd=ROOT,
        stop_timeout_s=35.0,
        restart=False,
    )


async def registered(w: World, count: int) -> float:
    """Until so many have a lease that runs; the seconds it took.

    Raises `TimeoutError` that says how many there were.
    """
    began = time.monotonic()
    while True:
        fleet = w.runtime.store.run(w.runtime.registry.fleet())
        up = sum(end > fleet.now_ms for end in fleet.leases.values())
        if up >= count:
            return time.monotonic() - began
        if time.monotonic() - began > START_S:
            raise TimeoutError(f"{up} of {count} instances were registered in {START_S:.0f} s")
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def watching(w: World) -> AsyncIterator[Beats]:
    settings = w.runtime.settings
    beats = Beats(settings.instance_lease_ms, settings.heartbeat_every_ms)
    watcher = asyncio.ensure_future(watch(w.runtime, beats))
    try:
        yield beats
    finally:
        watcher.cancel()
        await asyncio.wait({watcher})
        if not watcher.cancelled():
            watcher.result()


def serving(runs: Runs, names: list[str], from_ms: int, until_ms: int, slice_s: float) -> int:
    """How many of them ended a run in every whole slice of the window."""
    slices = max(1, int((until_ms - from_ms) / 1000 / slice_s))
    step = (until_ms - from_ms) / slices
    ended: list[set[str]] = [set() for _ in range(slices)]
    for run in runs:
        if from_ms <= run.ended_ms < until_ms:
            ended[min(slices - 1, int((run.ended_ms - from_ms) / step))].add(run.instance)
    return len(set(names).intersection(*ended))


async def part(
    specs: list[ProcessSpec], names: list[str], folder: Path, *, seconds: float, per_s: float,
    dispatchers: int, tenants: int, slice_s: float,
) -> dict[str, Any]:  # fmt: skip
    """These processes up, under load for so long; what became of heartbeats and tasks."""
    async with world(
        handler="", instances=0, instance_processes=0, dispatchers=dispatchers, tenants=tenants,
    ) as w, listening(w.server.url) as answers:  # fmt: skip
        began = time.monotonic()
        async with processes(specs, timeout_s=START_S) as fleet:
            await registered(w, len(names))
            start_s = time.monotonic() - began
            pids = list(fleet.pids.values())
            await asyncio.sleep(2.0)
            journals = Journals(folder)
            async with watching(w) as beats:
                await asyncio.sleep(1.0)

                def payload(number: int) -> object:
                    return {"s": TURN_S, "n": number, "slow": str(folder)}

                load = Load(w, payload, steady(per_s))
                load.start()
                from_ms = w.runtime.store.run(w.runtime.registry.fleet()).now_ms
                await asyncio.sleep(seconds)
                until_ms = w.runtime.store.run(w.runtime.registry.fleet()).now_ms
                await load.stop()
                lost = await load.unsettled(END_S)
            rss = [psutil.Process(pid).memory_info().rss / 1e6 for pid in pids]
            runs = journals.look()
            return {
                "serving": serving(runs, names, from_ms, until_ms, slice_s),
                "beats": beats.figures(names, from_ms, until_ms),
                "accepted": len(load.ids),
                "lost": lost,
                "duplicates": load.extra_settlements() + answers.doubled,
                "executions": sum(1 for _ in runs),
                "start_s": tidy(start_s),
                "rss_mb": percentiles(rss, 50, 100),
            }


async def real(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    names = [f"i{n:02d}" for n in range(1, options.processes + 1)]
    specs = [instance_spec(name, folder, options.capacity) for name in names]
    return await part(
        specs, names, folder, seconds=options.seconds, per_s=options.per_s,
        dispatchers=options.dispatchers, tenants=options.tenants, slice_s=SLICE_S,
    )  # fmt: skip


async def simulated(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    specs, names = [], []
    for n, count in enumerate(spread(options.simulated, options.simulated_processes), 1):
        specs.append(instance_spec(f"s{n}", folder, 1, count))
        names += [f"s{n}-{k}" for k in range(1, count + 1)] if count > 1 else [f"s{n}"]
    seconds = options.simulated_seconds
    return await part(
        specs, names, folder, seconds=seconds, per_s=options.simulated_per_s,
        dispatchers=1, tenants=options.tenants, slice_s=seconds,
    )  # fmt: skip


async def run(options: argparse.Namespace) -> dict[str, Any]:
    parts = []
    for one in (real, simulated):
        with tempfile.TemporaryDirectory(prefix="godel-fleet-") as folder:
            parts.append(await one(options, Path(folder)))
    here, many = parts
    return {
        "processes": options.processes,
        "processes_serving": here["serving"],
        "simulated": options.simulated,
        "simulated_serving": many["serving"],
        "heartbeats_missed": here["beats"]["missed"] + many["beats"]["missed"],
        "lost": here["lost"] + many["lost"],
        "duplicates": here["duplicates"] + many["duplicates"],
        "rss_mb": here["rss_mb"],
        "start_s": here["start_s"],
        "parts": {"real": here, "simulated": many},
        "settings": {
            name: getattr(options, name)
            for name in (
                "seconds", "processes", "capacity", "per_s", "dispatchers", "tenants", "simulated",
                "simulated_processes", "simulated_seconds", "simulated_per_s",
            )
        },
        "machine": machine(),
        "calibration": calibrate(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load on real processes")
    parser.add_argument("--processes", type=int, default=50, help="real instance processes")
    parser.add_argument("--capacity", type=int, default=2, help="turns at once on each of those")
    parser.add_argument("--per-s", type=float, default=100.0, help="tasks a second for them")
    parser.add_argument("--dispatchers", type=int, default=2)
    parser.add_argument("--tenants", type=int, default=5)
    parser.add_argument("--simulated", type=int, default=1000, help="instances of few processes")
    parser.add_argument("--simulated-processes", type=int, default=4)
    parser.add_argument("--simulated-seconds", type=float, default=20.0)
    parser.add_argument("--simulated-per-s", type=float, default=400.0)
    options = parser.parse_args()
    emit(asyncio.run(run(options)), as_json=options.json)


if __name__ == "__main__":
    main()
