"""The demo, whole and real, only smaller; and what is left of it when somebody interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from godel_tasks.demo.plan import TENANTS
from godel_tasks.demo.processes import GODEL
from tests.helpers import wait_until

pytestmark = pytest.mark.alone

#: Of another Godel, that must not shine into the demo.
FOREIGN = {
    "GODEL_REDIS_URL": "redis://127.0.0.1:1/0",
    "GODEL_DATA_DIR": "/nowhere",
    "GODEL_NO_SUCH_SETTING": "1",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
}


class Demo:
    """`godel demo` in a process of its own, in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.err = folder / "stderr"
        (folder / "config").mkdir()
        (folder / "config" / "godel.toml").write_text("cells = 7\nno_such_setting = 1\n")
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*GODEL, "demo", "--json", *options],
                cwd=folder,
                env=os.environ | FOREIGN | {"TMPDIR": str(self.temporary)},
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
            )

    def said(self) -> str:
        return self.err.read_text()

    def end(self, timeout_s: float) -> str:
        """What it wrote to stdout."""
        out, _ = self.process.communicate(timeout=timeout_s)
        return out


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Demo]]:
    """Where a test puts the demo that it starts, so that it ends with the test."""
    demos: list[Demo] = []
    yield demos
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()  # its guard ends the rest
            demo.process.communicate()


def left_of(root: Path) -> list[str]:
    """Processes that were started in that folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def test_it_loses_nothing_and_shares_by_weight_although_two_are_killed(
    tmp_path: Path, started: list[Demo]
) -> None:
    # Given an environment that points to another Godel
    demo = Demo(tmp_path, "--tasks", "1500")
    started.append(demo)
    # When the demo runs
    out = demo.end(110)
    assert demo.process.returncode == 0, demo.said()
    # Then stdout is one JSON object
    (line,) = out.splitlines()
    report: dict[str, Any] = json.loads(line)
    # And every task was accepted and settled once
    counts = {name: report[name] for name in ("submitted", "succeeded", "failed")}
    assert counts == {"submitted": 1500, "succeeded": 1500, "failed": 0}
    assert (report["lost"], report["duplicates"]) == (0, 0)
    assert sum(row["completed"] for row in report["instances"].values()) == 1500
    # Although an instance and a dispatcher were killed while they held tasks, which ran on
    assert report["killed"]["instance"] in report["instances"]
    assert report["killed"]["dispatcher"].startswith("dispatcher")
    assert report["affected"] >= 2
    assert report["reruns"] >= 1
    assert report["unrecovered"] == 0
    assert report["recovery_s"] > 0
    # And the fleet grew while tasks waited, by instances that worked, and shrank when none did
    assert report["scaled_out"] >= 1
    assert report["scaled_in"] == report["scaled_out"]
    assert any(name.startswith("shared-") for name in report["instances"])
    # And slot time went by weight while all had work waiting (a small demo is a coarse measure)
    for name, weight in TENANTS.items():
        due = weight / sum(TENANTS.values())
        share = report["tenants"][name]["share_under_contention"]
        assert share == pytest.approx(due, rel=0.2), report["tenants"]
        assert report["tenants"][name]["succeeded"] == 500
    # And a real Flower listed the tasks of both dispatchers
    flower = report["flower"]
    assert flower["tasks_seen"] > 1000
    assert flower["names"] == ["godel_tasks.submit_task"]
    # (the control worker may have published ends of the one that was killed)
    nodes = {node.partition("@")[0] for node in flower["workers"]}
    assert nodes - {"control"} == {"dispatcher1", "dispatcher2"}
    # And nothing is left
    assert list(demo.temporary.glob("godel-demo-*")) == []
    assert left_of(demo.temporary) == []


def test_interrupted_it_stops_and_leaves_nothing(tmp_path: Path, started: list[Demo]) -> None:
    # Given a demo at work
    demo = Demo(tmp_path)
    started.append(demo)
    wait_until(
        lambda: "settled," in demo.said() or demo.process.poll() is not None,
        description="the work has begun",
        timeout=60,
        every=0.1,
    )
    assert demo.process.poll() is None, demo.said()
    # When somebody presses Ctrl-C
    demo.process.send_signal(signal.SIGINT)
    demo.end(30)
    # Then it ends as an interrupted command does, and nothing is left
    assert demo.process.returncode == 130, demo.said()
    assert list(demo.temporary.glob("godel-demo-*")) == []
    assert left_of(demo.temporary) == []


def test_what_does_not_come_up_is_named_with_its_last_words(
    tmp_path: Path, started: list[Demo]
) -> None:
    # Given a demo whose instances have no such handler
    broken = (
        "import godel_tasks.demo.processes as p; p.HANDLER = 'godel_tasks.demo.handler:nothing'; "
        "from godel_tasks.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", broken, "demo"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Then it says which process, what that said, and where to read on
    assert ended.returncode == 1
    assert "ended, which it should not" in ended.stderr
    assert "has no 'nothing'" in ended.stderr
    (kept,) = tmp_path.glob("godel-demo-*")
    assert str(kept) in ended.stdout.replace("\n", "")
    assert list((kept / "logs").glob("*.log"))
    assert left_of(tmp_path) == []
