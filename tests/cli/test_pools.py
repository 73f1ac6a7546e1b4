"""`godel pools`, and the commands that make, start, stop and remove instances of a pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from godel_tasks.instances.local.folder import LocalFolder
from godel_tasks.openclaw import processes
from tests.cli.played import godel, ok

AGENTS = "async def work(payload):\n    return payload\n"
OPTIONS = ("--option", "handler=agents:work", "--option", "drain_timeout_s=1")


@pytest.fixture
def place(attached: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a handler, and a data folder of its own."""
    (tmp_path / "agents.py").write_text(AGENTS)
    monkeypatch.setenv("GODEL_DATA_DIR", str(tmp_path / "data"))
    yield tmp_path
    for ps in processes.marked_processes(LocalFolder.MARK).values():
        for process in ps:
            if process.environ().get("GODEL_DATA_DIR") == str(tmp_path / "data"):
                process.kill()


def test_a_pool_is_declared_shown_changed_and_removed(place: Path) -> None:
    # Given only the pool that is always there
    assert [pool["pool"] for pool in ok("pools", "list")["pools"]] == ["shared"]
    # When one is declared
    made = ok("pools", "add", "small", *OPTIONS, "--capacity", 4, "--replace")
    # Then its handler's folder is named in full, and nothing was made
    assert made["template"]["provider"] == "process"
    assert made["template"]["options"]["cwd"] == str(place)
    assert (made["replace"], made["template"]["capacity"]) == (True, 4)
    assert ok("pools", "show", "small")["instances"] == []
    # And it is changed field by field
    changed = ok("pools", "set", "small", "--min-available", 1, "--option", "drain_timeout_s=")
    assert changed["min_available"] == 1
    assert changed["replace"]
    assert set(changed["template"]["options"]) == {"handler", "cwd"}
    assert "process/grpc" in godel("pools", "list").out
    assert ok("pools", "remove", "small") == {"pool": "small"}
    assert godel("pools", "show", "small", "--json").error["type"] == "UnknownPool"


def test_what_is_wrong_is_told_all_at_once(place: Path) -> None:
    said = godel("pools", "add", "small", "--option", "handlr=a:b", "--option", "cwd=/x", "--json")
    assert (said.code, said.error["type"]) == (4, "InvalidPool")
    assert "did you mean 'handler'" in said.error["message"]
    assert "handler: missing" in said.error["message"]
    assert "expected a whole number from 1" in godel(
        "pools", "add", "small", "--capacity", 0, "--json"
    ).error["message"]  # fmt: skip
    said = godel("pools", "add", "small", "--provider", "proces", "--json")
    assert said.error["hint"] == "did you mean 'process'?"
    ok("pools", "add", "small", *OPTIONS)
    assert godel("pools", "add", "small", *OPTIONS, "--json").error["type"] == "PoolExists"
    assert "'small'" in godel("pools", "show", "smal", "--json").error["hint"]
    assert godel("pools", "set", "small").code == 2


def test_a_file_declares_pools_whole_or_not_at_all(place: Path) -> None:
    file = place / "pools.toml"
    file.write_text(
        """
        [pools.small]
        capacity = 2
        min_available = 1
        [pools.small.options]
        handler = "agents:work"
        inline = false
        [pools.bare]
        """
    )
    assert [pool["pool"] for pool in ok("pools", "apply", file)["pools"]] == ["small", "bare"]
    shown = ok("pools", "show", "small")
    assert (shown["min_available"], shown["template"]["options"]["inline"]) == (1, "false")
    assert ok("pools", "show", "bare")["template"] is None
    # What is wrong in one of them changes none
    file.write_text("[pools.small]\nmin_available = 3\n[pools.other]\ncapasity = 1\n")
    said = godel("pools", "apply", file, "--json")
    assert "capasity: not known; did you mean 'capacity'?" in said.error["message"]
    assert ok("pools", "show", "small")["min_available"] == 1
    file.write_text("[pool.small]\n")
    assert "write [pools.NAME]" in godel("pools", "apply", file, "--json").error["message"]


def test_instances_of_a_pool_are_made_and_live_until_they_are_removed(place: Path) -> None:
    # Given a pool, and an instance of it
    ok("pools", "add", "small", *OPTIONS, "--capacity", 2)
    (name,) = ok("instances", "spawn", "--pool", "small")["instances"]
    shown = ok("instances", "show", name)
    assert (shown["status"], shown["provider"], shown["capacity"]) == ("up", "process", 2)
    (row,) = ok("pools", "show", "small")["instances"]
    assert (row["instance"], row["state"], row["made"]) == (name, "up", True)
    # Then its pool cannot be removed, and is restarted
    assert godel("pools", "remove", "small", "--json").error["type"] == "InstanceError"
    pid = row["detail"]
    done = ok("pools", "restart", "small")
    assert (done["done"], done["left"], done["stopped"]) == ([name], [], None)
    assert ok("pools", "show", "small")["instances"][0]["detail"] != pid
    # And it is stopped, started and removed with all that it was
    ok("instances", "stop", name)
    assert ok("pools", "show", "small")["instances"][0]["state"] == "stopped"
    ok("instances", "start", name)
    assert ok("instances", "show", name)["status"] == "up"
    assert ok("instances", "remove", name) == {"instance": name, "slots_used": 0}
    assert list((place / "data" / "instances").iterdir()) == []
    assert not any(
        p.environ().get("GODEL_DATA_DIR") == str(place / "data")
        for ps in processes.marked_processes(LocalFolder.MARK).values()
        for p in ps
        if psutil.pid_exists(p.pid)
    )
    ok("pools", "remove", "small")


def test_one_that_came_by_itself_cannot_be_stopped_from_here(attached: str) -> None:
    ok("instances", "add", "gw-9", "10.0.0.9:7000")
    said = godel("instances", "stop", "gw-9", "--json")
    assert (said.code, said.error["type"]) == (10, "Unsupported")
    assert godel("instances", "start", "gw-8", "--json").error["type"] == "UnknownInstance"
    assert godel("instances", "spawn", "--json").error["type"] == "InvalidPool"
