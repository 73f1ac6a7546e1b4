"""`godel up`, Procfile and docker-compose.yml run the same processes."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from pathlib import Path

import pytest

from godel_tasks.embedded import EmbeddedServer, ServerUrls
from godel_tasks.settings import Settings
from godel_tasks.supervisor.processes import answers_ping, godel_processes, listens

ROOT = Path(__file__).parents[2]
URLS = ServerUrls.from_one("redis://host/0")


def procfile() -> dict[str, list[str]]:
    lines = [line for line in (ROOT / "Procfile").read_text().splitlines() if line[:1] != "#"]
    return {name: shlex.split(rest) for name, _, rest in (line.partition(":") for line in lines)}


def test_procfile_starts_what_godel_up_starts() -> None:
    ours = {spec.name: list(spec.command) for spec in godel_processes(Settings(), URLS)}
    theirs = {name: [sys.executable, "-m", *command] for name, command in procfile().items()}
    assert ours == theirs


def test_compose_starts_what_procfile_starts() -> None:
    # Given each service's command, save that in a container Flower listens on all addresses
    text = (ROOT / "docker-compose.yml").read_text().replace("0.0.0.0", "127.0.0.1")
    found = re.findall(r"^  ([a-z]+):\n(?:    .*\n)*?    command: (.*)$", text, flags=re.MULTILINE)
    services = {name: shlex.split(command) for name, command in found}
    # Then they are the same processes, and the server they need
    assert services.pop("redis")[0] == "valkey-server"
    assert services == procfile()


def test_several_dispatchers_have_numbers_and_stop_together() -> None:
    specs = godel_processes(Settings(), URLS, dispatchers=2, flower_port=None, env={"A": "b"})
    assert [spec.name for spec in specs] == ["dispatcher1", "dispatcher2", "control", "beat"]
    assert [spec.stage for spec in specs] == ["dispatcher", "dispatcher", "control", "beat"]
    assert "dispatcher2@%h" in specs[1].command
    assert all(spec.env == {"A": "b"} for spec in specs)
    # A dispatcher has time to drain before it is killed
    assert specs[0].stop_timeout_s > Settings().drain_timeout_s


@pytest.mark.parametrize("up", [True, False])
def test_a_worker_that_is_not_there_is_not_ready(tmp_path: Path, up: bool) -> None:
    # Given a broker without workers, or none at all
    server = EmbeddedServer(tmp_path)
    server.start()
    url = server.urls.broker
    if not up:
        server.stop()
    # Then the check says no, and does not raise
    assert answers_ping(url, "dispatcher")() is False
    server.stop()


def test_a_port_is_ready_when_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listens("127.0.0.1", port)()
    assert not listens("127.0.0.1", port)()
