"""The comparison, whole and real, only smaller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from godel_tasks.demo.processes import GODEL
from tests.demo.test_run import FOREIGN, left_of

pytestmark = pytest.mark.alone


def test_both_sides_run_the_same_and_godel_does_not_let_the_small_tenant_wait(
    tmp_path: Path,
) -> None:
    # Given an environment that points elsewhere
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    # When a small comparison runs
    done = subprocess.run(
        [*GODEL, "demo", "--versus", "celery", "--json", "--tasks", "200", "--seconds-cap", "4.5",
         "--picture", "out/versus.svg"],
        cwd=tmp_path,
        env=os.environ | FOREIGN | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Then stdout is one JSON object, and both sides had the same to do
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    celery, godel = report["celery"], report["godel"]
    assert celery["accepted"] == godel["accepted"] == 203
    assert len(celery["waits"]) == len(godel["waits"]) == 3
    # And workers of both were killed, of Godel's both kinds
    assert [kill["target"] for kill in celery["kills"]] == ["worker1"]
    assert {kill["kind"] for kill in godel["kills"]} == {"instance", "dispatcher"}
    # And every task is accounted for. What Celery's worker held comes back after the visibility
    # timeout, for which a small run does not wait
    for side in (celery, godel):
        assert side["finished"] + side["held"] + side["lost"] == 203
    assert celery["held"] >= 1
    assert godel["lost"] == 0
    assert godel["reruns"] >= 1
    # And B waits behind A's tasks on Celery, and not on Godel
    assert godel["p50_s"] < celery["p50_s"] / 2, line
    # And the picture is there, and nothing else is left
    svg = tmp_path / "out" / "versus.svg"
    assert report["pictures"][0] == str(svg)
    ET.parse(svg)
    assert list(temporary.iterdir()) == []
    assert left_of(temporary) == []


def test_celerys_side_imports_nothing_of_godel_but_the_handler() -> None:
    # When the app of plain Celery is imported, as its workers do
    code = (
        "import sys, godel_tasks.demo.versus.celery_app; "
        "print(*sorted(n for n in sys.modules if n.startswith('godel_tasks')))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    # Then the handler has come along, and no app, store or dispatcher
    assert out.split() == [
        "godel_tasks",
        "godel_tasks.demo",
        "godel_tasks.demo.handler",
        "godel_tasks.demo.versus",
        "godel_tasks.demo.versus.celery_app",
        "godel_tasks.demo.versus.handler",
    ]


def test_what_cannot_be_meant_is_refused_at_once(tmp_path: Path) -> None:
    # Given a file where the picture's folder should be
    (tmp_path / "taken").write_text("")
    wrong = {
        ("--picture", "a.svg"): (2, "for --versus celery"),
        ("--versus", "celery", "--tasks", "5"): (2, "less than 100"),
        ("--tasks", "5"): (2, "less than 600"),
        ("--versus", "celery", "--picture", "taken/a.svg"): (1, "cannot be written"),
    }
    for options, (code, words) in wrong.items():
        done = subprocess.run(
            [*GODEL, "demo", *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
