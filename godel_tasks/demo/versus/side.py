"""What a side of the comparison is: processes, whom to kill, and what is still there at the end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from godel_tasks.demo.logbook import LogBook
from godel_tasks.demo.processes import STOP_TIMEOUT_S
from godel_tasks.demo.site import Site
from godel_tasks.demo.versus.handler import JOURNALS
from godel_tasks.demo.versus.plan import DUMPER, SEND_EVERY_S, SENDER, VersusPlan
from godel_tasks.embedded import ServerUrls
from godel_tasks.supervisor import ProcessSpec


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a side runs: a folder and a server of its own."""

    site: Site
    book: LogBook
    urls: ServerUrls
    plan: VersusPlan


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    `workers` are the processes to keep running. `victims` are (kind, name) of those that are killed
    at once, and started again as everything is. `prepare` is called before anything is submitted.
    `held` says which of these tasks (id to key) the side still has, waiting or running. `settings`
    are lines for people.
    """

    name: str
    workers: Callable[[Stage], Sequence[ProcessSpec]]
    victims: Sequence[tuple[str, str]]
    prepare: Callable[[Stage], Awaitable[None]]
    held: Callable[[Stage, Mapping[str, str]], Awaitable[Collection[str]]]
    settings: Callable[[], Sequence[str]]
    #: Environment of its processes.
    env: Callable[[Stage], Mapping[str, str]]

    def processes(self, stage: Stage) -> list[ProcessSpec]:
        """Workers, then the producers of both tenants; all of them know the journals' folder."""
        plan = stage.plan
        specs = [
            *self.workers(stage),
            self._producer(stage, DUMPER, "--count", str(plan.tasks)),
            self._producer(stage, SENDER, "--count", str(plan.sends), "--every", str(SEND_EVERY_S)),
        ]
        env = {
            JOURNALS: str(stage.site.journals),
            "TMPDIR": str(stage.site.root),  # what a killed pool leaves goes with the folder
            **self.env(stage),
        }
        return [
            replace(
                spec,
                env={**spec.env, **env},
                cwd=stage.site.root,
                role="versus",
                stop_timeout_s=STOP_TIMEOUT_S,
            )
            for spec in specs
        ]

    def _producer(self, stage: Stage, tenant: str, *options: str) -> ProcessSpec:
        name = producer_of(tenant)
        return ProcessSpec(
            name=name,
            command=(
                *(sys.executable, "-m", "godel_tasks.demo.versus.producer"),
                *("--side", self.name, "--tenant", tenant, *options),
                *("--pause-s", str(stage.plan.pause_s)),
                *("--journal", str(journal_of(stage.site, tenant))),
            ),
            ready=lambda: stage.book.said(name, "ready"),
            restart=False,
        )


def producer_of(tenant: str) -> str:
    """The process of a tenant."""
    return f"producer-{tenant}"


def journal_of(site: Site, tenant: str) -> Path:
    """What a tenant had accepted."""
    return site.journals / f"producer-{tenant}.jsonl"
