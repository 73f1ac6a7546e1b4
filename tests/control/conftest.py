"""One world for the stories of remote control: two dispatchers, a control worker, two instances."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from godel_tasks.results import GodelResult
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World

#: Workers that answer.
WORKERS = 3


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Dispatchers `d1` and `d2`, the control worker `c1`, the instances `wide` (8 slots) and
    `narrow` (1, capability `narrow`), tenant `acme`. Stories leave it as they found it."""
    with World(tmp_path_factory.mktemp("control"), backoff_base_s=0.2) as world:
        print(f"logs: {world.logs}")
        for name in ("d1", "d2"):
            world.dispatcher(name, ready=False)
        control_worker(world, "c1")
        world.instance("wide", ASYNC, "--capacity", "8", ready=False)
        world.instance("narrow", ASYNC, "--capability", "narrow=yes", ready=False)
        for name in ("d1", "d2"):
            world.processes[name].wait_for("ready.")
        world.processes["c1"].wait_for("ready.")
        for name in ("wide", "narrow"):
            world.processes[name].wait_for("listens on")
        world.tenant("acme")
        yield world


def control_worker(world: World, name: str) -> None:
    """`celery -A workers.control worker`."""
    world.spawn(name, celery("-A", "workers.control", "worker", "-n", f"{name}@%h"))


def celery(*words: str) -> list[str]:
    """The `celery` command, whether or not it is on PATH."""
    return [sys.executable, "-m", "celery", *words]


def broadcast(world: World, command: str, *to: str, **arguments: Any) -> dict[str, Any]:
    """What each worker (or only those named) answers, by its name up to the @."""
    host = socket.gethostname()
    destination = [f"{name}@{host}" for name in to] or None
    limit = len(to) or WORKERS
    """What each worker answers, by its name up to the @."""
    replies = world.app.control.broadcast(
        command, arguments, destination, reply=True, timeout=5.0, limit=limit
    )
    return {
        node.partition("@")[0]: answer for reply in replies or [] for node, answer in reply.items()
    }


def running(world: World, **payload: Any) -> GodelResult:
    """A task of `acme` that runs by now, for a minute if nothing stops it."""
    result = world.submit("acme", {"sleep": 60, **payload})
    wait_until(lambda: world.state(result.id) == "RUNNING", description="it runs", timeout=15)
    return result


def waiting(world: World) -> GodelResult:
    """A task of `acme` that waits, and will: nobody can run it."""
    return world.submit("acme", {}, capabilities={"nobody": "has-it"})
