"""A real Flower, and a world for it to look at."""

from __future__ import annotations

import base64
import json
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from godel_tasks.results import GodelResult
from godel_tasks.supervisor.processes import FLOWER_COLUMNS
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World

USER = "ann:secret"


class Flower:
    """`celery -A godel_tasks flower`, behind a password, and what it answers."""

    def __init__(self, world: World) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [
            sys.executable, "-m", "celery", "-A", "godel_tasks", "flower", "--address=127.0.0.1",
            f"--port={port}", f"--tasks-columns={FLOWER_COLUMNS}", f"--basic-auth={USER}",
        ]  # fmt: skip
        self.process = world.spawn("flower", command)

    def ask(
        self, path: str, *, post: dict[str, Any] | None = None, known: bool = True
    ) -> tuple[int, str]:
        """Status and text."""
        body = None if post is None else urllib.parse.urlencode(post).encode()
        request = urllib.request.Request(self.url + path, body)
        if known:
            token = base64.b64encode(USER.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def api(self, path: str) -> Any:
        status, text = self.ask(f"/api/{path}")
        assert status == 200, text
        return json.loads(text)

    def act(self, path: str) -> str:
        """What a button of its pages does."""
        status, text = self.ask(f"/api/{path}", post={})
        assert status == 200, text
        message: str = json.loads(text)["message"]
        return message

    def task(self, task_id: str) -> dict[str, Any]:
        """Empty while it does not know the task."""
        status, text = self.ask(f"/api/task/info/{task_id}")
        found: dict[str, Any] = json.loads(text) if status == 200 else {}
        return found

    def rows(self, search: str = "") -> dict[str, dict[str, Any]]:
        """What its list of tasks shows, by task."""
        query = {"draw": 1, "start": 0, "length": 100, "search[value]": search}
        query |= {"order[0][column]": 0, "columns[0][data]": "received", "order[0][dir]": "desc"}
        _, text = self.ask("/tasks/datatable", post=query)
        return {row["uuid"]: row for row in json.loads(text)["data"]}

    def shows(self, result: GodelResult, state: str) -> dict[str, Any]:
        """The task once Flower and Godel agree that this is its state."""

        def agree() -> dict[str, Any] | None:
            task = self.task(result.id)
            return task if task.get("state") == state == str(result.state) else None

        return wait_until(
            agree, description=f"{result.id} is {state} everywhere", timeout=15, every=0.05
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A dispatcher `d1` without -E, an instance `wide`, tenants `acme` and `globex`, Flower."""
    settings = {"backoff_base_s": 3, "max_attempts": 2, "unroutable_after_s": 2}
    with World(tmp_path_factory.mktemp("flower"), **settings) as world:
        print(f"logs: {world.logs}")
        world.dispatcher("d1", ready=False)
        world.instance("wide", ASYNC, "--capacity", "16", ready=False)
        yield world


@pytest.fixture(scope="module")
def flower(world: World) -> Flower:
    """Once it has asked for events, which it does five seconds after its start."""
    flower = Flower(world)
    world.processes["wide"].wait_for("listens on")
    world.tenant("acme")
    world.tenant("globex")
    world.processes["d1"].wait_for("Events of group {task} enabled by remote")
    return flower
