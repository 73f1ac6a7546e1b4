"""Turns over many gateways through the `openclaw` driver: `python -m benchmarks.openclaw [--json]`.

    turns_per_s      turns submitted while dispatching, over the time until the last result can be
                     read; the median of the rounds
    cpu_ms_per_turn  CPU time of the dispatcher per turn: routing, the WebSocket protocol, settling,
                     publishing
    lost             turns without a readable result
    duplicates       turns that a gateway began twice under one key, and settlements beyond one

The gateways are fake (godel_tasks.testing.fake_gateway): several to a process, no model, and the
same protocol with answers and events as large as real ones. A real gateway does about 2 turns a
second on a core of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import ROUNDS, emit, machine, medians, tidy
from benchmarks.e2e import one_round
from benchmarks.world import ROOT, World, spread, world
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.openclaw.registering import register_instance

TOKEN_NAME = "BENCH_GATEWAY_TOKEN"  # noqa: S105 - the name of a variable
TOKEN = "bench-0123456789"  # noqa: S105 - of a fake
READY_S = 30.0


class Gateways:
    """Processes of fake gateways."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes
        self.urls: list[str] = [url for said in map(_said, processes) for url in said["urls"]]

    def stop(self) -> dict[str, int]:
        """What they counted: runs begun, and runs begun again under a key."""
        for process in self.processes:
            process.terminate()
        told = [_said(process) for process in self.processes]
        for process in self.processes:
            process.wait(10)
        return {name: sum(each[name] for each in told) for name in ("starts", "again")}


def _said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


@contextlib.contextmanager
def gateways(count: int, processes: int, latency_s: float) -> Iterator[Gateways]:
    flags = ("--token", TOKEN, "--latency", str(latency_s))
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "godel_tasks.testing.fake_gateway", "--count", str(n), *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in spread(count, processes)
    ]
    try:
        yield Gateways(started)
    finally:
        for process in started:
            process.kill()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


async def _all_up(w: World, count: int) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            fleet = w.runtime.store.run(w.runtime.registry.fleet())
            if sum(end > fleet.now_ms for end in fleet.leases.values()) >= count:
                return
            await asyncio.sleep(0.1)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    os.environ[TOKEN_NAME] = TOKEN
    with gateways(options.gateways, options.processes, options.latency) as fakes:
        async with world(
            handler="", instances=0, instance_processes=0,
            dispatchers=options.dispatchers, tenants=options.tenants,
        ) as w:  # fmt: skip
            for number, url in enumerate(fakes.urls, 1):
                config = InstanceConfig(
                    f"gw-{number}", url, driver="openclaw", capacity=options.capacity,
                    credentials=f"env:{TOKEN_NAME}",
                )  # fmt: skip
                register_instance(w.runtime, config)
            await _all_up(w, len(fakes.urls))
            await one_round(w, min(500, options.turns), payload="warm up")
            rounds = [
                await one_round(w, options.turns, payload="say something short")
                for _ in range(options.rounds)
            ]
            counted = fakes.stop()
    middle = medians(rounds)
    cpu = {k.removeprefix("cpu."): v for k, v in middle.items() if k.startswith("cpu.")}
    turns = min(500, options.turns) + options.rounds * options.turns
    return {
        "turns_per_s": middle["throughput_per_s"],
        "cpu_ms_per_turn": tidy(cpu["dispatcher"] / 1000),
        "lost": int(sum(r["lost"] for r in rounds)),
        "duplicates": counted["again"] + int(sum(r["duplicates"] for r in rounds)),
        "begun_per_turn": counted["starts"] / turns,
        "cpu_us_per_turn": {name: tidy(value) for name, value in cpu.items()},
        "rounds": [tidy(r["throughput_per_s"]) for r in rounds],
        "settings": {
            name: getattr(options, name)
            for name in (
                "turns", "gateways", "processes", "capacity", "latency", "tenants", "dispatchers",
            )
        },
        "machine": machine(),
        "calibration": calibrate(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--turns", type=int, default=5_000, help="turns in a round")
    parser.add_argument("--gateways", type=int, default=50)
    parser.add_argument("--processes", type=int, default=10, help="OS processes of the gateways")
    parser.add_argument("--capacity", type=int, default=8, help="turns at once on a gateway")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to the first word")
    parser.add_argument("--tenants", type=int, default=20)
    parser.add_argument("--dispatchers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    emit(asyncio.run(run(options)), as_json=options.json)


if __name__ == "__main__":
    main()
