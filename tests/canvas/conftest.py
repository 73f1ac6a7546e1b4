"""A world that all stories here share: a Godel worker, an instance, a worker of ordinary tasks."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from celery import Celery

from godel_tasks.tasks import SUBMIT_TASK, SubmitTask
from tests.canvas.plain import QUEUE, make_plain
from tests.helpers import wait_until
from tests.world import World

HANDLER = "tests.canvas.handlers:act"
TENANT = "acme"


@dataclass
class Stage:
    """The world, and the tasks of both apps as a producer in this process has them."""

    world: World
    plain: Celery

    @property
    def submit_task(self) -> SubmitTask:
        return cast("SubmitTask", self.world.app.tasks[SUBMIT_TASK])

    def task(self, name: str) -> Any:
        """One of the ordinary tasks."""
        return self.plain.tasks[f"plain.{name}"]

    @property
    def backend(self) -> Any:
        """The result backend of this process."""
        return self.plain.backend

    def s(self, *payload: Any, **fields: Any) -> Any:
        """A signature of a Godel task of the tenant; without a payload it takes what comes."""
        return self.submit_task.s(*payload, tenant_id=TENANT, **fields)

    def notes(self, key: str) -> list[str]:
        """What `note` left under a key."""
        return [line.decode() for line in self.backend.client.lrange(key, 0, -1)]

    def close(self) -> None:
        """Let results that are still waited for unsubscribe, while there is a server."""
        for app in (self.world.app, self.plain):
            waited_for = cast("Any", app.backend)._pending_results
            waited_for.concrete.clear()
        gc.collect()

    def quiet(self) -> None:
        """Wait until nothing is left to publish or to follow."""
        lookup = self.world.runtime.store
        keys = [f"godel:{{c00}}:{name}" for name in ("index", "canvas")]
        from godel_tasks.store.command import plain

        wait_until(
            lambda: not any(lookup.run(plain("EXISTS", key, decode=int)) for key in keys),
            description="nothing waits, runs or has to follow",
            timeout=15,
        )


def start_plain(world: World) -> None:
    """The worker of ordinary tasks."""
    command = [
        sys.executable, "-m", "celery", "-A", "tests.canvas.plain_worker", "worker", "-P", "solo",
        "-n", "plain@%h", "-Q", QUEUE, "--without-gossip", "--without-mingle",
        "--without-heartbeat", "--loglevel", "INFO",
    ]  # fmt: skip
    world.spawn("plain", command)


def stage_of(world: World) -> Stage:
    return Stage(world, make_plain(world.app))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    settings = {"backoff_base_s": 0.05, "backoff_max_s": 0.1}
    with World(tmp_path_factory.mktemp("canvas"), **settings) as world:
        print(f"logs: {world.logs}")
        world.dispatcher("d1", ready=False)
        start_plain(world)
        world.instance("a", HANDLER, "--capacity", "50", ready=False)
        world.tenant(TENANT)
        world.processes["d1"].wait_for("dispatcher.up")
        world.processes["a"].wait_for("listens on")
        world.processes["plain"].wait_for("ready")
        made = stage_of(world)
        yield made
        made.close()
