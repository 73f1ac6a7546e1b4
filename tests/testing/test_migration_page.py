"""The page about moving a task to Godel: its before and its after, side by side on one server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.embedded import for_celery
from tests.testing.conftest import ROOT, files_of
from tests.world import World

PAGE = ROOT / "docs/how-to/migrate-from-celery.md"

#: What a caller does, whichever of the two it calls.
CALLER = """
import json
from desk import order

results = [order("acme", text) for text in ("two words", "a flaky one", "")]
answers = [result.get(timeout=60) for result in results]
print(json.dumps([answers, [result.state for result in results]]))
"""


def call(world: World, folder: Path) -> Any:
    env = {**world.env(), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    env["REDIS_URL"] = for_celery(world.url)
    command = [sys.executable, "-c", CALLER]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=90, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_before_and_after_answer_alike(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the files of the page
    folder = tmp_path_factory.mktemp("page")
    for name, text in files_of(PAGE).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with World(tmp_path_factory.mktemp("world")) as world:
        # And both worlds on one server: a Celery worker, a dispatcher and an instance
        monkeypatch.setenv("REDIS_URL", for_celery(world.url))
        monkeypatch.setenv("PYTHONPATH", str(folder / "before"))
        worker = [sys.executable, "-m", "celery", "-A", "letters", "worker", "-P", "solo"]
        old = world.spawn("old", [*worker, "--without-gossip", "--without-mingle", "-l", "info"])
        monkeypatch.setenv("PYTHONPATH", str(folder / "after"))
        world.instance("new", "letters:summarise", "--capacity", "8", ready=False)
        world.dispatcher("d1")
        world.processes["new"].wait_for("listens on")
        old.wait_for("ready.")
        world.tenant("acme", weight=4, max_queue=50000)
        # When callers of both order the same
        before = call(world, folder / "before")
        after = call(world, folder / "after")
    # Then they get the same, retries included
    assert before == after
    answers, states = after
    assert answers == [
        {"customer": "acme", "words": 2, "retries": 0},
        {"customer": "acme", "words": 3, "retries": 1},
        {"customer": "acme", "words": 0, "retries": 0},
    ]
    assert states == ["SUCCESS"] * 3
