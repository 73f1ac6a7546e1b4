"""A pool that follows its load, there and back: `python -m benchmarks.scaling [--kind KIND]`.

    seconds_to_most   from the load's coming to the last instance of the maximum taking work
    seconds_back      from the end of the last task until the pool is at its minimum again
    lost              tasks without a readable result
    duplicates        settlements beyond one for each
    history           what the auto-scaler decided and did, as `godel scale history` tells it

KIND is what the pool is made of:

    grpc      `godel instance` processes, 2 to 20 and back
    openclaw  real OpenClaw gateways, 2 to 3 and back; a stand-in in place of their model
    fake      fake gateways (protocol 4, all in one process) over the driver `openclaw`, 2 to 50

The auto-scaler runs in this process; dispatchers are processes of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import emit, machine, tidy
from benchmarks.e2e import missing
from benchmarks.world import ROOT, World, world
from godel_tasks.demo.site import free_port
from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from godel_tasks.domain.pool import InstanceTemplate, PoolConfig, ProvidedInstance
from godel_tasks.domain.scaling import ScalingPolicy, StepLimit
from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.fleet.scaling_reader import ScalingReader
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands
from godel_tasks.supervisor import ProcessSpec
from godel_tasks.testing.fake_gateway import FakeGateway
from godel_tasks.testing.standin.script import Turn
from godel_tasks.views.instances import all_instances

POOL = "shared"
LOOK_EVERY_S = 1.0
TOKEN_NAME = "BENCH_GATEWAY_TOKEN"  # noqa: S105 - the name of a variable
TOKEN = "bench-0123456789"  # noqa: S105 - of a fake
#: Most seconds for each of growing, working and shrinking.
PATIENCE_S = 120.0


class FakeGateways(Provider):
    """Makes fake gateways in this very process."""

    name = "process"

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._made: dict[str, tuple[InstanceTemplate, FakeGateway]] = {}

    @property
    def place(self) -> str:
        return f"pid {os.getpid()}"

    def check(self, template: InstanceTemplate) -> None:
        """Any will do."""

    async def start(self, config: InstanceConfig) -> None:
        await self._made[config.instance_id][1].start()

    async def stop(self, config: InstanceConfig) -> None:
        await self._made[config.instance_id][1].stop()

    async def restart(self, config: InstanceConfig) -> None:
        await self.stop(config)
        await self.start(config)

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        if instance_id not in self._made:
            gateway = FakeGateway(token=TOKEN, defaults=Turn(latency_s=self._latency_s))
            await gateway.start()
            self._made[instance_id] = template, gateway

    async def remove(self, instance_id: str, *, grace_s: float | None = None) -> None:  # noqa: ARG002
        _, gateway = self._made.pop(instance_id, (None, None))
        if gateway is not None:
            await gateway.stop()

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:
        return [
            ProvidedInstance(
                name, template.pool, running=True,
                config=InstanceConfig(
                    name, gateway.url, driver="openclaw", capacity=template.capacity,
                    pool=template.pool, provider=self.name, credentials=f"env:{TOKEN_NAME}",
                ),
            )
            for name, (template, gateway) in self._made.items()
            if pool in ("", template.pool)
        ]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """What a pool is made of, and the load that takes it to its maximum."""

    least: int
    most: int
    capacity: int
    tasks: int
    driver: str
    payload: Callable[[int], Any]
    options: dict[str, str]
    provider: Callable[[Path], Provider]


def kinds(standin: str) -> dict[str, Kind]:
    handler = {"handler": "benchmarks.handlers:turn", "cwd": str(ROOT), "drain_timeout_s": "5"}
    return {
        "grpc": Kind(
            2, 20, 2, 1500, "grpc", lambda n: {"n": n, "s": 1.0, "slow": "/nowhere"}, handler,
            ProcessProvider,
        ),
        "openclaw": Kind(
            2, 3, 2, 90, "openclaw", lambda n: f"[[latency=2]] turn {n}", {"standin": standin},
            ProcessProvider,
        ),
        "fake": Kind(
            2, 50, 2, 4000, "openclaw", lambda n: f"turn {n}", {}, lambda _: FakeGateways(1.0)
        ),
    }  # fmt: skip


def policy(kind: Kind) -> ScalingPolicy:
    """Quick to grow and to forget: what takes minutes in a fleet is measured in seconds."""
    return ScalingPolicy(
        POOL, "load curve", min_instances=kind.least, max_instances=kind.most,
        down_window_s=5.0, step_up=StepLimit(), step_down=StepLimit(), drain_deadline_s=60.0,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def scaled(w: World, kind: Kind, data_dir: Path) -> AsyncIterator[AutoScaler]:
    """The pool declared, and looked after; all that was made is removed at the end."""
    template = InstanceTemplate(
        POOL, driver=kind.driver, capacity=kind.capacity, options=kind.options
    )
    w.runtime.store.run(PoolCommands().put_pool(PoolConfig(POOL, template), before=""))
    w.runtime.store.run(ScalingCommands().put_policies([policy(kind)]))
    store = w.runtime.async_store()
    provider = kind.provider(data_dir)
    manager = InstanceManager(store, providers=lambda _: provider)
    reader = ScalingReader(store, w.runtime.cells, manager)
    scaler = AutoScaler(store, manager, reader)

    async def looks() -> None:
        while True:
            await scaler.look()
            await asyncio.sleep(LOOK_EVERY_S)

    looking = asyncio.ensure_future(looks())
    try:
        yield scaler
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await scaler.aclose()
        for each in await provider.provided():
            await provider.remove(each.instance_id, grace_s=0.0)
        await store.close()


async def until(what: str, done: Callable[[], bool]) -> float:
    """Seconds until it is so."""
    begun = time.perf_counter()
    while not await asyncio.to_thread(done):
        if time.perf_counter() - begun > PATIENCE_S:
            raise TimeoutError(f"{what}: not within {PATIENCE_S:g} s")
        await asyncio.sleep(0.1)
    return time.perf_counter() - begun


def serving(w: World) -> int:
    return sum(view.status is InstanceStatus.UP for view in all_instances(w.runtime))


def told(w: World) -> list[str]:
    """The history in words."""
    entries = w.runtime.store.run(ScalingCommands().history(pool=POOL, count=1000))
    lines = []
    for entry in entries:
        decision, act = entry.decision, entry.act
        if decision is not None and decision.delta:
            size = decision.inputs.size
            lines.append(f"{size} to {decision.result}: {decision.why}")
        elif act is not None:
            lines.append(f"{act.type.value} {act.instance_id}: {act.what} {act.detail}".rstrip())
    return lines


def removed(history: list[str]) -> int:
    return sum(": removed " in line for line in history)


async def run(options: argparse.Namespace) -> dict[str, Any]:
    from godel_tasks import submit_tasks

    os.environ[TOKEN_NAME] = TOKEN
    port = free_port()
    kind = kinds(f"http://127.0.0.1:{port}/v1")[options.kind]
    standin = ProcessSpec(
        name="standin",
        command=(sys.executable, "-m", "godel_tasks.testing.standin", "--port", str(port)),
        cwd=ROOT,
        restart=False,
    )
    async with (
        world(
            handler="", instances=0, instance_processes=0, dispatchers=2, tenants=3,
            more=lambda _: [standin] if options.kind == "openclaw" else [],
        ) as w,
        scaled(w, kind, w.runtime.settings.data_dir),
    ):  # fmt: skip
        await until("the minimum", lambda: serving(w) == kind.least)
        items = [
            {"tenant_id": w.tenants[n % 3], "payload": kind.payload(n)} for n in range(kind.tasks)
        ]
        begun = time.perf_counter()
        ids = [s.task_id for s in await asyncio.to_thread(submit_tasks, items) if s.ok]
        grown = await until("the maximum", lambda: serving(w) == kind.most)
        await until("the work", lambda: not missing(w, ids))
        worked = time.perf_counter() - begun
        back = await until("the minimum", lambda: removed(told(w)) == kind.most - kind.least)
        history, lost, succeeded = told(w), missing(w, ids), w.succeeded()
    return {
        "kind": options.kind,
        "least": kind.least,
        "most": kind.most,
        "seconds_to_most": tidy(grown),
        "seconds_of_work": tidy(worked),
        "seconds_back": tidy(back),
        "tasks": len(ids),
        "lost": lost + kind.tasks - len(ids),
        "duplicates": max(0, succeeded - len(ids) + lost),
        "spawned": sum(" spawned" in line for line in history),
        "removed": removed(history),
        "history": history,
        "machine": machine(),
        "calibration": calibrate(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--kind", choices=("grpc", "openclaw", "fake"), default="grpc")
    figures = asyncio.run(run(parser.parse_args()))
    if "--json" not in sys.argv:
        print("\n".join(figures.pop("history")))
    emit(figures, as_json="--json" in sys.argv)


if __name__ == "__main__":
    main()
