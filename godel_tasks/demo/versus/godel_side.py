"""Godel's side: as `godel up` runs it, with two instances and all settings at their defaults."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from importlib.metadata import version

from godel_tasks.demo.processes import GODEL
from godel_tasks.demo.versus import handler
from godel_tasks.demo.versus.plan import DUMPER, SENDER, SLOTS_EACH, WORKERS
from godel_tasks.demo.versus.side import Side, Stage
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.supervisor import ProcessSpec
from godel_tasks.supervisor.processes import godel_processes

DISPATCHERS = 2


def _workers(stage: Stage) -> list[ProcessSpec]:
    services = godel_processes(
        load_settings(), stage.urls, dispatchers=DISPATCHERS, flower_port=None
    )
    return [*services, *(_instance(stage, f"instance{n + 1}") for n in range(WORKERS))]


def _instance(stage: Stage, name: str) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        command=(
            *(*GODEL, "instance", "--handler", f"{handler.__name__}:answer", "--id", name),
            *("--capacity", str(SLOTS_EACH)),
        ),
        ready=lambda: stage.book.said(name, "instance"),
    )


async def _prepare(_stage: Stage) -> None:
    await asyncio.to_thread(_add_tenants)


def _add_tenants() -> None:
    runtime = Runtime(load_settings())
    with contextlib.closing(runtime.store) as store:
        for name in (DUMPER, SENDER):
            store.run(runtime.cell_of(name).tenants.put(TenantConfig(name)))


async def _held(_stage: Stage, keys: Mapping[str, str]) -> Collection[str]:
    return await asyncio.to_thread(_unsettled, keys)


def _unsettled(keys: Mapping[str, str]) -> set[str]:
    runtime = Runtime(load_settings())
    (cell,) = runtime.cells
    with contextlib.closing(runtime.store) as store:
        entries = store.pipeline([cell.lookup.entry(task_id) for task_id in keys])
    return {key for key, entry in zip(keys.values(), entries, strict=True) if entry is not None}


def _settings() -> list[str]:
    services = f"{DISPATCHERS} dispatchers, control and beat as godel up runs them"
    tenants = "tenants of equal weight, results stored"
    return [
        f"Godel {version('godel-tasks')}: settings at their defaults, {tenants}",
        f"{WORKERS} x godel instance --capacity {SLOTS_EACH}, {services}",
    ]


SIDE = Side(
    name="godel",
    workers=_workers,
    victims=(("instance", "instance1"), ("dispatcher", "dispatcher1")),
    prepare=_prepare,
    held=_held,
    settings=_settings,
    env=lambda _stage: {},
)
