"""One world for the stories of the intake, and clients that know nothing of Godel."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from godel_tasks.embedded import EmbeddedServer
from tests.helpers import wait_until
from tests.world import Process, World

QUEUE = "godel.intake"
#: Seconds that room in a full queue is waited for here.
PATIENCE_S = 2.0


class Bare:
    """The client of `bare.py`, in a process of its own."""

    def __init__(self, url: str) -> None:
        script = Path(__file__).with_name("bare.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(script), url, QUEUE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def tell(self, **told: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(told), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def send(self, tenant_id: str, payload: Any = None, **options: Any) -> str:
        """`send_task`; the id."""
        task_id = self.tell(send={"args": [tenant_id, payload or {}], **options})
        assert isinstance(task_id, str)
        return task_id

    def get(self, task_id: str) -> dict[str, Any]:
        """`{"result": ...}`, or `{"error": type, "text": ..., "state": ...}`."""
        found: dict[str, Any] = self.tell(get=task_id)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


def control_worker(world: World, app: str = "workers.control") -> Process:
    """The process that takes messages in, at work."""
    before = world.processes.get("control")
    if before is not None and before.alive:
        return before
    flags = ("-n", "control@%h", "--without-gossip", "--without-mingle")
    process = world.spawn("control", [sys.executable, "-m", "celery", "-A", app, "worker", *flags])
    process.wait_for("ready.")
    return process


@pytest.fixture(scope="package")
def state_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """Godel's state, beside the broker, so that it can go away alone."""
    with EmbeddedServer(tmp_path_factory.mktemp("state")) as server:
        yield server


@pytest.fixture(scope="package")
def house(
    tmp_path_factory: pytest.TempPathFactory, state_server: EmbeddedServer
) -> Iterator[World]:
    """A dispatcher, an instance in region `eu`, a control worker, tenants `acme` and `other`;
    broker and results on TCP, for clients that know no unix sockets."""
    folder = tmp_path_factory.mktemp("intake")
    world = World(folder, state_url=state_server.url, intake_patience_s=PATIENCE_S)
    world.server = EmbeddedServer(folder / "data", transport="tcp", guard=world.guard)
    with world:
        print(f"logs: {world.logs}")
        world.dispatcher("d1", ready=False)
        flags = ("--capacity", "8", "--region", "eu")
        world.instance("echo", "tests.intake.handlers:echo", *flags, ready=False)
        control_worker(world)
        world.processes["d1"].wait_for("dispatcher.up")
        world.processes["echo"].wait_for("listens on")
        for name in ("acme", "other"):
            world.tenant(name)
        yield world


@pytest.fixture
def world(house: World) -> World:
    """The house with its control worker up."""
    control_worker(house)
    return house


@pytest.fixture(scope="package")
def bare(house: World) -> Iterator[Bare]:
    client = Bare(house.server.urls.broker)
    yield client
    client.close()


@pytest.fixture
def broker(world: World) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(world.url, decode_responses=True) as client:
        yield client


def next_task(broker: redis.Redis, queue: str) -> tuple[str, list[Any]]:
    """Wait for a message in a queue that nobody consumes: its task's name and arguments."""
    wait_until(lambda: broker.llen(queue), description=f"a task in {queue}", timeout=10)
    found = json.loads(str(broker.rpop(queue)))
    return found["headers"]["task"], json.loads(base64.b64decode(found["body"]))[0]


def all_taken(broker: redis.Redis) -> None:
    """Wait until no message waits in the queue, and none for its acknowledgement."""
    free = 0

    def for_a_while() -> bool:
        """For a moment a message is in neither place: taken, and not noted as such yet."""
        nonlocal free
        free = 0 if broker.llen(QUEUE) or broker.hlen("unacked") else free + 1
        return free > 5

    wait_until(for_a_while, description="every message is acknowledged", timeout=10)
