"""`godel run`: a file of tasks to a file of results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.store.executor import connect_sync
from tests.cli.played import WorkingDispatcher, godel, ok
from tests.helpers import wait_until

GODEL = Path(sys.executable).with_name("godel")


def handler(payload: Any) -> Any:
    if payload == "boom":
        raise ValueError("no such thing")
    return {"got": payload}


@pytest.fixture
def working(attached: str) -> Iterator[WorkingDispatcher]:
    """Somebody who does the work."""
    ok("tenants", "add", "acme")
    with WorkingDispatcher(attached, handler) as dispatcher:
        yield dispatcher


def write(name: str, *lines: Any) -> Path:
    path = Path(name)
    path.write_text(
        "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    )
    return path


def results(name: str) -> dict[int, dict[str, Any]]:
    """Results by line; a line that is there twice fails."""
    found: dict[int, dict[str, Any]] = {}
    for text in Path(name).read_text().splitlines():
        entry = json.loads(text)
        assert entry["line"] not in found
        found[entry["line"]] = entry
    return found


def test_each_line_gets_a_result(working: WorkingDispatcher) -> None:
    # Given tasks of two tenants, with a blank line
    ok("tenants", "add", "beta")
    file = write(
        "pages.jsonl",
        {"tenant_id": "acme", "payload": 1, "priority": "high"},
        "\n",
        {"tenant_id": "beta", "payload": {"page": 2}, "deadline": "2199-01-01T00:00:00Z"},
        {"tenant_id": "acme", "payload": 3, "task_id": "mine"},
    )
    # When they are run
    said = ok("run", file)
    # Then each has its result, under the number of its line
    assert (said["lines"], said["succeeded"], said["missing"]) == (3, 3, 0)
    assert said["out"] == "pages.results.jsonl"
    found = results("pages.results.jsonl")
    assert {number: entry["result"] for number, entry in found.items()} == {
        1: {"got": 1},
        3: {"got": {"page": 2}},
        4: {"got": 3},
    }
    assert found[4]["task_id"] == "mine"
    assert set(found[1]) == {"line", "task_id", "state", "result"}


def test_lines_that_fail_do_not_stop_the_others(working: WorkingDispatcher) -> None:
    file = write(
        "mixed.jsonl",
        "{not json\n",
        "[1]\n",
        {"tenant_id": "nobody", "payload": 1},
        {"tenant_id": "acme", "payload": "boom", "max_attempts": 1},
        {"tenant_id": "acme", "payload": 1, "priorty": "high"},
        {"tenant_id": "acme", "payload": 1, "session_id": 5},
        {"tenant_id": "acme", "payload": 1, "ignore_result": True},
        {"tenant_id": "acme", "payload": 1, "eta": "soon"},
        {"tenant_id": "acme", "payload": 1},
    )
    said = godel("run", file, "--out", "out.jsonl", "--json")
    assert said.code == 8
    assert (said.data["succeeded"], said.data["failed"], said.data["refused"]) == (1, 1, 7)
    found = results("out.jsonl")
    assert found[4]["error"] == {"type": "ValueError", "message": "no such thing"}
    kinds = {number: entry["error"]["type"] for number, entry in found.items() if number != 9}
    assert kinds[3] == "UnknownTenant"
    assert all(kinds[number] == "InvalidTask" for number in (1, 2, 5, 6, 7, 8))
    assert found[5]["error"]["hint"] == "did you mean 'priority'?"


def test_with_a_tenant_each_line_is_a_bare_payload(working: WorkingDispatcher) -> None:
    file = write("bare.jsonl", {"tenant_id": "not a field"}, "2\n", '"three"\n')
    ok("run", file, "--tenant", "acme")
    assert [
        entry["result"]["got"] for _, entry in sorted(results("bare.results.jsonl").items())
    ] == [
        {"tenant_id": "not a field"},
        2,
        "three",
    ]


def test_results_are_not_overwritten(working: WorkingDispatcher) -> None:
    file = write("one.jsonl", "1\n")
    ok("run", file, "--tenant", "acme")
    before = Path("one.results.jsonl").read_text()
    said = godel("run", file, "--tenant", "acme", "--json")
    assert said.code == 1
    assert "--resume" in said.error["hint"]
    assert Path("one.results.jsonl").read_text() == before


def test_a_run_goes_on_where_it_stopped(working: WorkingDispatcher) -> None:
    # Given a run whose results were cut off in the middle of a line
    file = write("nums.jsonl", *(f"{n}\n" for n in range(50)))
    ok("run", file, "--tenant", "acme")
    runs = dict(working.runs)
    out = Path("nums.results.jsonl")
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[:20]) + '{"line": 49, "ta')
    # When it is run again
    said = ok("run", file, "--tenant", "acme", "--resume")
    # Then what was there is kept, the rest comes from what was accepted before, nothing runs twice
    assert (said["resumed"], said["succeeded"], said["missing"]) == (20, 50, 0)
    assert sorted(out.read_text().splitlines()) == sorted(whole.splitlines())
    assert working.runs == runs
    assert set(runs.values()) == {1}


def test_resume_tries_what_was_refused_and_what_has_changed(working: WorkingDispatcher) -> None:
    # Given a line whose tenant did not exist, and one that was another then
    file = write(
        "two.jsonl", {"tenant_id": "late", "payload": 1}, {"tenant_id": "acme", "payload": 2}
    )
    assert godel("run", file).code == 8
    ok("tenants", "add", "late")
    write("two.jsonl", {"tenant_id": "late", "payload": 1}, {"tenant_id": "acme", "payload": 22})
    # When the run goes on
    said = ok("run", file, "--resume")
    # Then both are run
    assert (said["resumed"], said["succeeded"], said["refused"]) == (0, 2, 0)
    assert results("two.results.jsonl")[2]["result"] == {"got": 22}


def test_the_same_lines_run_anew_as_another_run(working: WorkingDispatcher) -> None:
    file = write("nums.jsonl", "1\n", "2\n")
    ok("run", file, "--tenant", "acme")
    ok("run", file, "--tenant", "acme", "--out", "b.jsonl")
    assert len(working.runs) == 2
    ok("run", file, "--tenant", "acme", "--again", "monday", "--out", "c.jsonl")
    assert len(working.runs) == 4


def test_the_window_bounds_what_is_in_flight(working: WorkingDispatcher, attached: str) -> None:
    # Given a queue that is smaller than the file, and a window that is smaller still
    ok("tenants", "set", "acme", "--max-queue", 7)
    file = write("nums.jsonl", *(f"{n}\n" for n in range(60)))
    # Then all go through, a full queue being waited for
    assert ok("run", file, "--tenant", "acme", "--window", 3)["succeeded"] == 60
    said = ok("run", file, "--tenant", "acme", "--again", "b", "--out", "b.jsonl")
    assert (said["succeeded"], said["refused"]) == (60, 0)
    assert ok("tenants", "show", "acme")["submitted"] == 120


def test_a_result_that_is_not_kept_any_more_does_not_hang(
    working: WorkingDispatcher, attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run whose results are gone, in the file and on the server
    file = write("one.jsonl", "1\n")
    ok("run", file, "--tenant", "acme")
    Path("one.results.jsonl").unlink()
    with connect_sync(attached) as client:
        for key in client.keys("celery-task-meta-*"):
            client.delete(key)
    monkeypatch.setattr("godel_tasks.cli.running.runner._PUBLISH_PATIENCE_S", 0.1)
    monkeypatch.setattr("godel_tasks.cli.running.runner._SWEEP_EVERY_S", 0.05)
    # When it is run again
    said = godel("run", file, "--tenant", "acme", "--json")
    # Then it says so, and how to get them
    assert (said.code, said.data["unknown"]) == (8, 1)
    error = results("one.results.jsonl")[1]["error"]
    assert error["type"] == "ResultExpired"
    assert "--again" in error["hint"]


def test_a_message_that_is_missed_is_found_by_looking(
    working: WorkingDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a feed that hears nothing
    monkeypatch.setattr("godel_tasks.store.feed.ResultFeed.read", lambda self, timeout_s: {})
    monkeypatch.setattr("godel_tasks.cli.running.runner._SWEEP_EVERY_S", 0.05)
    file = write("nums.jsonl", "1\n", "2\n")
    assert ok("run", file, "--tenant", "acme")["succeeded"] == 2


def test_ctrl_c_says_how_to_go_on(attached: str) -> None:
    # Given a run in a process of its own, and nobody who works
    ok("tenants", "add", "acme")
    file = write("nums.jsonl", *(f"{n}\n" for n in range(100)))
    command = [str(GODEL), "run", str(file), "--tenant", "acme"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    wait_until(
        lambda: ok("tenants", "show", "acme")["submitted"] == 100,
        description="all tasks are accepted",
        timeout=30,
    )
    # When it is interrupted
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    # Then it ends in order and says how to go on
    assert process.returncode == 130
    assert "Traceback" not in err
    how = next(line.split() for line in err.splitlines() if line.strip().startswith("godel run"))
    # And so it does
    with WorkingDispatcher(attached, handler) as working:
        said = ok(*how[1:])
    assert (said["resumed"], said["succeeded"]) == (0, 100)
    assert set(working.runs.values()) == {1}


def test_a_run_that_was_killed_goes_on(attached: str) -> None:
    # Given a run that is killed when it has some of its results
    ok("tenants", "add", "acme")
    file = write("nums.jsonl", *(f"{n}\n" for n in range(2000)))
    with WorkingDispatcher(attached, handler) as working:
        process = subprocess.Popen([str(GODEL), "run", str(file), "--tenant", "acme"])
        out = Path("nums.results.jsonl")
        wait_until(
            lambda: out.exists() and out.stat().st_size > 0,
            description="some results are written",
            timeout=30,
            every=0.001,
        )
        process.kill()
        process.wait()
        # When it goes on
        said = ok("run", file, "--tenant", "acme", "--resume")
    # Then every line has its result once, and ran once
    assert (said["succeeded"], said["missing"]) == (2000, 0)
    assert len(results("nums.results.jsonl")) == 2000
    assert set(working.runs.values()) == {1}
    assert len(working.runs) == 2000
