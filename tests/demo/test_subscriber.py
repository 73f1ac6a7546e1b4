"""The subscriber sees every terminal result, and its own gaps do not look like lost tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from godel_tasks.demo import subscriber
from tests.helpers import wait_until

pytestmark = pytest.mark.alone


class Listening:
    """A subscriber process that is ready."""

    def __init__(self, url: str, path: Path) -> None:
        self.path = path
        self.process = subprocess.Popen(
            [sys.executable, "-I", subscriber.__file__, str(path)],
            env=os.environ | {"DEMO_RESULT_URL": url},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def listening(redis_url: str, tmp_path: Path) -> Iterator[Listening]:
    started = Listening(redis_url, tmp_path / "results.jsonl")
    yield started
    started.process.kill()
    started.process.wait()
    assert started.process.stdout is not None
    started.process.stdout.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def meta(task_id: str, status: str = "SUCCESS", result: object = None) -> bytes:
    return json.dumps({"task_id": task_id, "status": status, "result": result}).encode()


def publish(client: redis.Redis, task_id: str, data: bytes) -> None:
    client.publish(f"celery-task-meta-{task_id}", data)


def test_it_writes_terminal_messages_down_and_nothing_else(
    listening: Listening, client: redis.Redis
) -> None:
    # When states, results and noise are published
    publish(client, "a", meta("a", "STARTED"))
    publish(client, "a", meta("a"))
    publish(client, "b", meta("b", "FAILURE"))
    publish(client, "c", meta("c", "REVOKED"))
    publish(client, "d", b"\xff no json")
    publish(client, "a", meta("a"))
    publish(client, "a", meta("a", result="another"))
    # And it is told to stop
    assert listening.stop() == 0
    # Then it wrote the terminal ones, repeats included
    lines = listening.lines()
    assert [(line["id"], line["state"]) for line in lines] == [
        ("a", "SUCCESS"),
        ("b", "FAILURE"),
        ("c", "REVOKED"),
        ("a", "SUCCESS"),
        ("a", "SUCCESS"),
    ]
    # And equal bytes have equal digests, differing ones differ
    of_a = [line["digest"] for line in lines if line["id"] == "a"]
    assert of_a[0] == of_a[1] != of_a[2]


def test_stopping_takes_what_is_still_coming(listening: Listening, client: redis.Redis) -> None:
    # Given many results, announced just before it is stopped
    with client.pipeline(transaction=False) as pipeline:
        for n in range(5000):
            pipeline.publish(f"celery-task-meta-{n}", meta(str(n)))
        pipeline.execute()
    assert listening.stop() == 0
    # Then it has them all
    assert [line["id"] for line in listening.lines()] == [str(n) for n in range(5000)]


def test_a_broken_connection_leaves_no_gap(listening: Listening, client: redis.Redis) -> None:
    # Given a subscriber that has listened, and a result that was stored and announced to nobody
    publish(client, "before", meta("before"))
    wait_until(lambda: len(listening.lines()) == 1, description="the first result is written")
    client.set("celery-task-meta-meanwhile", meta("meanwhile"))
    # When its connection is cut
    assert client.client_kill_filter(_type="pubsub") == 1
    # Then it finds it in the store, and listens again
    wait_until(
        lambda: any(line["id"] == "meanwhile" for line in listening.lines()),
        description="the result of the gap is written",
    )
    publish(client, "after", meta("after"))
    wait_until(
        lambda: any(line["id"] == "after" for line in listening.lines()),
        description="a result after the gap is written",
    )
    vias = {line["id"]: line["via"] for line in listening.lines()}
    assert vias["before"] == "publish"
    assert vias["after"] == "publish"
    assert vias["meanwhile"] == "read"


def test_it_says_how_it_is_called() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DEMO_RESULT_URL"}
    ended = subprocess.run(
        [sys.executable, "-I", subscriber.__file__, "results.jsonl"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("usage: DEMO_RESULT_URL=")
