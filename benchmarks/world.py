"""A whole Godel for a benchmark: server, dispatchers, instance processes, tenants."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.common import celery_worker, own_server, processes
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.supervisor.spec import ProcessSpec
from godel_tasks.supervisor.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[1]
CAPACITY = 64


@dataclass
class World:
    """What runs, and how to look at it."""

    server: EmbeddedServer
    supervisor: Supervisor
    runtime: Runtime
    tenants: list[str]

    def succeeded(self) -> int:
        """Tasks that all tenants together have had succeed."""
        cell = self.runtime.cells[0]
        statuses = self.runtime.store.pipeline([cell.tenants.status(name) for name in self.tenants])
        return sum(status.succeeded for status in statuses)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far: redis, this process (the producer), and each kind of process."""
        groups = {"redis": [self.server.info.pid], "producer": [psutil.Process().pid]}
        for name, pid in self.supervisor.pids.items():
            groups.setdefault(name.rstrip("0123456789"), []).append(pid)
        return {name: sum(map(_cpu_s, pids)) for name, pids in groups.items()}


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def instance_spec(name: str, count: int, handler: str) -> ProcessSpec:
    """One OS process that serves `count` instances."""
    return ProcessSpec(
        name=name,
        command=(
            *(str(Path(sys.executable).with_name("godel")), "instance", "--handler", handler),
            *("--inline", "--capacity", str(CAPACITY), "--count", str(count), "--id", name),
        ),
        cwd=ROOT,
        stop_timeout_s=35.0,
        restart=False,
    )


def spread(instances: int, processes_: int) -> list[int]:
    """Instances per process, as even as can be."""
    return [instances // processes_ + (i < instances % processes_) for i in range(processes_)]


@contextlib.asynccontextmanager
async def world(
    *,
    handler: str,
    instances: int,
    instance_processes: int,
    dispatchers: int,
    tenants: int,
    more: Callable[[EmbeddedServer], list[ProcessSpec]] = lambda _server: [],
) -> AsyncIterator[World]:
    """Everything up and every instance known; gone at the end. `more` names further processes."""
    with own_server() as server:
        specs = [
            celery_worker(server, "workers.dispatcher", f"dispatcher{i + 1}")
            for i in range(dispatchers)
        ]
        specs += [
            instance_spec(f"instance{i + 1}", count, handler)
            for i, count in enumerate(spread(instances, instance_processes))
        ]
        specs += more(server)
        runtime = Runtime(load_settings())
        names = [f"tenant{i + 1}" for i in range(tenants)]
        for name in names:
            config = TenantConfig(name, max_queue=10_000_000)
            runtime.store.run(runtime.cells[0].tenants.put(config))
        async with processes(specs) as supervisor:
            while len(runtime.store.run(runtime.registry.fleet()).leases) < instances:
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)
            yield World(server, supervisor, runtime, names)
