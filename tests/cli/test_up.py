"""`godel up`: everything comes up, stays up, and goes down together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from godel_tasks.cli.up import up
from godel_tasks.embedded import EmbeddedServer, read_info
from godel_tasks.errors import GodelError
from tests.helpers import wait_until

#: A worker that does nothing of Godel: these stories are about who starts and stops whom.
WORKER = """
from celery import Celery
from godel_tasks.embedded import resolve_urls
from godel_tasks.settings import load_settings
app = Celery(broker=resolve_urls(load_settings()).broker)
app.conf.worker_concurrency = 1
"""


class Running:
    """A `godel up` in a process of its own."""

    def __init__(self, folder: Path, *options: str, **env: str) -> None:
        workers = folder / "workers"
        workers.mkdir()
        for name in ("__init__", "dispatcher", "control"):
            (workers / f"{name}.py").write_text("" if name == "__init__" else WORKER)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            program = "import typer; from godel_tasks.cli.up import up; typer.run(up)"
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, "--json", *options],
                cwd=folder,  # first on the path, so that the workers are these
                env={**os.environ, **env},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.report: dict[str, Any] = json.loads(line)

    @property
    def pids(self) -> dict[str, int]:
        return {name: pid for name, pid in self.report["pids"].items() if name != "up"}

    def end(self, number: signal.Signals) -> int:
        """Send the signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no setting in the environment."""
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GODEL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def running(folder: Path, free_port: int) -> Iterator[Running]:
    """All of it, with two dispatchers."""
    running = Running(folder, "--dispatchers", "2", "--port", str(free_port))
    yield running
    running.close()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_all_comes_up_stays_up_and_goes_down_together(
    folder: Path, running: Running, free_port: int
) -> None:
    # Given all of it, ready
    assert running.report["ready"], running.log.read_text()
    assert list(running.report["pids"]) == [
        "up", "dispatcher1", "dispatcher2", "control", "beat", "flower", "redis",
    ]  # fmt: skip
    assert running.report["urls"]["flower"] == f"http://127.0.0.1:{free_port}"
    with redis.Redis.from_url(running.report["urls"]["state"]) as client:
        client.set("kept", "yes")
        assert client.execute_command("WAITAOF", 1, 0, 5000)[0] == 1
    # When the server and a dispatcher are killed
    os.kill(running.pids["redis"], signal.SIGKILL)
    os.kill(running.pids["dispatcher1"], signal.SIGKILL)
    # Then both come back, the server with its data
    again = wait_until(
        lambda: (info := read_info(folder / "data")) and info.pid != running.pids["redis"] and info,
        description="the server is back",
    )
    with redis.Redis.from_url(again.url) as client:
        assert client.get("kept") == b"yes"
    wait_until(
        lambda: "dispatcher1 │ ended (SIGKILL), starts again in" in running.log.read_text(),
        description="the dispatcher is started again",
    )
    # When it is stopped
    assert running.end(signal.SIGTERM) == 0, running.log.read_text()
    # Then nothing is left, and the folder is free for the next
    assert all(gone(pid) for pid in [*running.pids.values(), again.pid])
    assert read_info(folder / "data") is None
    with EmbeddedServer(folder / "data") as server, redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"


def test_nothing_outlives_a_godel_up_that_was_killed(running: Running) -> None:
    running.end(signal.SIGKILL)
    for name, pid in running.pids.items():
        wait_until(lambda pid=pid: gone(pid), description=f"{name} is gone", timeout=15)  # type: ignore[misc]


def test_with_a_redis_of_ones_own_no_server_is_started(folder: Path, redis_url: str) -> None:
    running = Running(folder, "--no-flower", GODEL_REDIS_URL=redis_url)
    assert list(running.pids) == ["dispatcher", "control", "beat"]
    assert running.report["urls"]["state"] == redis_url
    assert not (folder / "data").exists()
    assert running.end(signal.SIGINT) == 0
    running.close()


@pytest.mark.usefixtures("folder")
def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(GodelError, match=f"port {port} is taken"):
            up(flower_port=port)
    assert not (tmp_path / "data").exists()
