"""The processes of the demo, and how to tell that each of them is ready."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from godel_tasks.demo import subscriber
from godel_tasks.demo.logbook import LogBook
from godel_tasks.demo.plan import DISPATCHERS, HANDLER, INSTANCES, InstancePlan
from godel_tasks.demo.site import DRAIN_S, Site
from godel_tasks.embedded import ServerUrls
from godel_tasks.settings import Settings
from godel_tasks.supervisor import ProcessSpec
from godel_tasks.supervisor.processes import godel_processes

#: What `godel` runs, by this very interpreter.
GODEL = (sys.executable, "-c", "from godel_tasks.cli.main import main; main()")
#: Seconds between TERM and KILL. All of them are stopped together: at the end nothing is left to be
#: finished in order, and after Ctrl-C nothing has to be.
STOP_TIMEOUT_S = DRAIN_S + 3.0


def demo_processes(
    settings: Settings, urls: ServerUrls, site: Site, book: LogBook, *, count: int, flower_port: int
) -> list[ProcessSpec]:
    """All of them: those of `godel up`, five instances, the subscriber, the producer.

    Who may be killed is not started again: the others have to do without.
    """
    specs = [
        *_services(settings, urls, flower_port),
        *(_instance(plan, site, book) for plan in INSTANCES),
        ProcessSpec(
            name="subscriber",
            command=(sys.executable, "-I", subscriber.__file__, str(results_of(site))),
            env={"DEMO_RESULT_URL": urls.state},
            ready=_said(book, "subscriber", "ready"),
            restart=False,
        ),
        ProcessSpec(
            name="producer",
            command=(
                *(sys.executable, "-m", "godel_tasks.demo.producer"),
                *("--count", str(count), "--journal", str(site.journals / "producer.jsonl")),
            ),
            ready=_said(book, "producer", "ready"),
            restart=False,
        ),
    ]
    return [
        replace(spec, cwd=site.root, role="demo", stop_timeout_s=STOP_TIMEOUT_S) for spec in specs
    ]


def results_of(site: Site) -> Path:
    """The journal of results."""
    return site.journals / "results.jsonl"


def executions_of(site: Site, instance_id: str) -> Path:
    """The journal of one instance."""
    return site.journals / f"instances-{instance_id}.jsonl"


def _services(settings: Settings, urls: ServerUrls, flower_port: int) -> list[ProcessSpec]:
    specs = []
    for spec in godel_processes(settings, urls, dispatchers=DISPATCHERS, flower_port=flower_port):
        changed = spec
        if spec.role == "dispatcher":
            # -E: events from the first task on. Flower asks for them too, five seconds later.
            changed = replace(spec, command=(*spec.command, "-E"), restart=False)
        if spec.name == "flower":
            changed = replace(spec, env={**spec.env, "FLOWER_UNAUTHENTICATED_API": "true"})
        specs.append(changed)
    return specs


def _instance(plan: InstancePlan, site: Site, book: LogBook) -> ProcessSpec:
    able = [
        word
        for name, value in plan.capabilities.items()
        for word in ("--capability", f"{name}={value}")
    ]
    return ProcessSpec(
        name=plan.instance_id,
        command=(
            *(*GODEL, "instance", "--handler", HANDLER, "--id", plan.instance_id),
            *("--region", plan.region, "--capacity", str(plan.capacity), *able),
            *("--journal", str(executions_of(site, plan.instance_id))),
        ),
        ready=_said(book, plan.instance_id, "instance"),
        restart=False,
    )


def _said(book: LogBook, name: str, word: str) -> Callable[[], bool]:
    return lambda: book.said(name, word)
