"""`godel instances add` for gateways that run already, over fake ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.played import PlayedDispatcher, godel, ok

TOKEN = "t-0123456789"


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The URL of a fake gateway, in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "godel_tasks.testing.fake_gateway", "--token", TOKEN],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["urls"][0]
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_GATEWAY_TOKEN", TOKEN)


def test_a_gateway_is_added_by_its_url(played: PlayedDispatcher, gateway: str) -> None:
    # When it is added by its driver's name
    said = godel("instances", "add", "openclaw", gateway, "--token-env", "MY_GATEWAY_TOKEN")
    # Then it has an id that is made of both, and it was looked at
    assert said.code == 0
    port = gateway.rpartition(":")[2]
    name = f"openclaw-127.0.0.1-{port}"
    assert f"Added instance {name}" in said.out
    assert "says that it is healthy" in said.out
    assert "once one of them has reached it" in said.out
    shown = ok("instances", "show", name)
    assert (shown["driver"], shown["capacity"], shown["status"]) == ("openclaw", 8, "dead")
    assert shown["credentials"] == "env:MY_GATEWAY_TOKEN"
    assert (shown["boot_id"], shown["strays_aborted"]) == (None, 0)
    assert TOKEN not in said.out + json.dumps(shown)


def test_one_that_cannot_be_used_from_here_is_added_all_the_same(
    played: PlayedDispatcher, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_GATEWAY_TOKEN", "another")
    said = ok("instances", "add", "gw-1", gateway, "--token-env", "MY_GATEWAY_TOKEN")
    assert "cannot be used" in said["found"]
    assert "token" in said["found"]
    assert "another" not in said["found"]


def test_a_device_is_paired_and_its_key_kept(played: PlayedDispatcher, gateway: str) -> None:
    added = ok(
        *("instances", "add", "gw-1", gateway, "--token-env", "MY_GATEWAY_TOKEN", "--device")
    )
    assert "healthy" in added["found"]
    path = Path(added["credentials"].removeprefix("file:"))
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_text())
    assert kept["token"] == TOKEN
    assert kept["device_key"]
    assert kept["device_token"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["gw-1", "ws://h:1", "--driver", "grpc"], "it wants host:port"),
        (["gw-1", "h:1", "--driver", "openclaw"], "it wants ws://host:port"),
        (["gw-1", "h:1", "--device"], "Only OpenClaw gateways pair devices"),
        (["gw-1", "ws://h:1", "--token-env", "A", "--credentials", "env:B"], "not both"),
    ],
)
def test_what_does_not_go_together_is_refused(
    played: PlayedDispatcher, options: list[str], says: str
) -> None:
    said = godel("instances", "add", *options)
    assert said.code == 2
    assert says in " ".join((said.out + said.err).split()).replace("│ ", "")
    assert ok("instances", "list") == {"instances": []}
