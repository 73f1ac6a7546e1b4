"""The house of the demo with gateways: dispatchers, a stand-in model, gateways, a producer."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from godel_tasks.demo import subscriber
from godel_tasks.demo.corpus import paragraphs
from godel_tasks.demo.house import House, all_ready, built
from godel_tasks.demo.logbook import LogBook
from godel_tasks.demo.openclaw.fleet import Fleet
from godel_tasks.demo.openclaw.model import Model
from godel_tasks.demo.openclaw.plan import GatewaysPlan, turns
from godel_tasks.demo.openclaw.together import together
from godel_tasks.demo.plan import DISPATCHERS
from godel_tasks.demo.processes import STOP_TIMEOUT_S, results_of
from godel_tasks.demo.site import Site, free_port
from godel_tasks.runtime import Runtime
from godel_tasks.supervisor import ProcessSpec
from godel_tasks.supervisor.processes import godel_processes, listens

HOST = "127.0.0.1"
MODEL_PROCESS = "standin-model"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs, and what is to be done: `items` are fields of tasks, by their ids."""

    house: House
    fleet: Fleet
    model: Model
    items: dict[str, dict[str, Any]]


@contextlib.asynccontextmanager
async def opened(site: Site, plan: GatewaysPlan, say: Say) -> AsyncIterator[Stage]:
    """All of it up, the gateways served by the dispatchers. Nothing of it runs afterwards.

    Raises:
        GodelError: something did not come up.
    """
    items = {item["task_id"]: item for item in turns(plan, list(paragraphs(plan.each)))}
    lines = "".join(json.dumps(item) + "\n" for item in items.values())
    (site.journals / "items.jsonl").write_text(lines, encoding="utf-8")
    port = free_port()

    def processes(runtime: Runtime, book: LogBook) -> list[ProcessSpec]:
        specs = [*_services(runtime), _model(port), *_journalists(site, runtime, book)]
        return [
            replace(spec, cwd=site.root, role="demo", stop_timeout_s=STOP_TIMEOUT_S)
            for spec in specs
        ]

    async with built(site, processes, tasks=len(items)) as house, Model(HOST, port) as model:
        fleet = Fleet(house, plan, model.url)
        try:
            await _bring_up(house, fleet, say)
            yield Stage(house, fleet, model, items)
        finally:
            await fleet.close()


async def _bring_up(house: House, fleet: Fleet, say: Say) -> None:
    async def one(instance_id: str) -> None:
        took_s = await fleet.bring_up(instance_id)
        say(f"Gateway {instance_id} is ready after {took_s:.1f} s, and registered.")

    began = time.monotonic()
    await together(all_ready(house), *map(one, fleet.configs))
    await together(*map(fleet.until_serving, fleet.configs))
    say(f"All of it is up after {time.monotonic() - began:.1f} s.")


def _services(runtime: Runtime) -> list[ProcessSpec]:
    specs = godel_processes(
        runtime.settings, runtime.urls, dispatchers=DISPATCHERS, flower_port=None
    )
    # Who may be killed is not started again: the others have to do without.
    return [replace(s, restart=False) if s.role == "dispatcher" else s for s in specs]


def _model(port: int) -> ProcessSpec:
    return ProcessSpec(
        name=MODEL_PROCESS,
        command=(sys.executable, "-m", "godel_tasks.testing.standin", "--port", str(port)),
        ready=listens(HOST, port),
        restart=False,
    )


def _journalists(site: Site, runtime: Runtime, book: LogBook) -> list[ProcessSpec]:
    journals = site.journals
    return [
        ProcessSpec(
            name="subscriber",
            command=(sys.executable, "-I", subscriber.__file__, str(results_of(site))),
            env={"DEMO_RESULT_URL": runtime.urls.state},
            ready=lambda: book.said("subscriber", "ready"),
            restart=False,
        ),
        ProcessSpec(
            name="producer",
            command=(
                *(sys.executable, "-m", "godel_tasks.demo.producer"),
                *("--items", str(journals / "items.jsonl")),
                *("--journal", str(journals / "producer.jsonl")),
            ),
            ready=lambda: book.said("producer", "ready"),
            restart=False,
        ),
    ]
