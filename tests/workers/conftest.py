"""Worlds of real processes: one calm one that many stories share, and fresh ones to break."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from godel_tasks.results import GodelResult
from tests.helpers import wait_until
from tests.world import World

ASYNC = "tests.workers.handlers:act"
SYNC = "tests.workers.handlers:act_sync"


def held_by(world: World, dispatcher: str, count: int, payload: object) -> list[GodelResult]:
    """Submit tasks of tenant `acme` until this dispatcher holds so many running ones; those."""
    found: list[GodelResult] = []

    def another() -> bool:
        result = world.submit("acme", payload)
        wait_until(
            lambda: world.state(result.id) in ("RUNNING", ""), description="it runs", timeout=20
        )
        if world.owner(result.id) == dispatcher:
            found.append(result)
        return len(found) == count

    wait_until(another, description=f"{dispatcher} holds {count} running tasks", timeout=20)
    return found


@pytest.fixture
def fresh_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., World]]:
    """Makes worlds (settings by name) that end with the test; a failed test shows their logs'
    folders."""
    worlds: list[World] = []

    def make(**settings: object) -> World:
        world = World(tmp_path_factory.mktemp("world"), **settings)
        worlds.append(world)
        world.server.start()
        return world

    yield make
    for world in worlds:
        print(f"logs: {world.logs}")
        world.close()


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One dispatcher, an async and a sync instance (capability `sync`), tenant `acme`. Stories
    leave it as they found it."""
    settings = {"backoff_base_s": 0.2, "unroutable_after_s": 2, "max_attempts": 2}
    with World(tmp_path_factory.mktemp("calm"), **settings) as world:
        print(f"logs: {world.logs}")
        world.dispatcher("d1", ready=False)
        world.instance("calm", ASYNC, "--capacity", "8", ready=False)
        world.instance("single", ASYNC, "--capability", "single=yes", ready=False)
        world.processes["d1"].wait_for("dispatcher.up")
        for name in ("calm", "single"):
            world.processes[name].wait_for("listens on")
        world.tenant("acme")
        yield world
