"""A client of Celery's protocol that is not Python: celery-node. And the examples of the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.intake.conftest import QUEUE
from tests.intake.nodejs import node_folder, run_node
from tests.world import REPOSITORY, World

PAGE = REPOSITORY / "docs" / "how-to" / "submit-by-name.md"
#: Node and its packages may have to be fetched first.
pytestmark = pytest.mark.timeout(600)
#: What the page calls its Redis.
URL = "redis://:password@redis.internal:6379/0"


@pytest.fixture(scope="module")
def node() -> Path:
    return node_folder()


def example(language: str, url: str) -> str:
    """The page's example in this language, for this server."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert URL in code
    return str(code.replace(URL, url))


def ends(node: Path, world: World, *calls: dict[str, Any]) -> list[dict[str, Any]]:
    told = [{"protocol": 2, "id": str(uuid.uuid4()), **call} for call in calls]
    found = json.loads(run_node(node, "client.js", world.url, QUEUE, json.dumps(told)))
    assert isinstance(found, list)
    return found


def test_celery_node_submits_and_gets_results_and_errors(world: World, node: Path):
    # When Node sends tasks: good ones in both versions of the protocol, one for a tenant that is
    # unknown, and one with a field that is
    ids = [str(uuid.uuid4()) for _ in range(2)]
    good: list[dict[str, Any]] = [
        {"protocol": n + 1, "id": ids[n], "args": ["acme", {"n": n}], "kwargs": {"region": "eu"}}
        for n in range(2)
    ]
    bad: list[dict[str, Any]] = [
        {"args": ["nobody", {}]},
        {"args": ["acme", {}], "kwargs": {"regio": "eu"}},
    ]
    *results, unknown, misspelt = ends(node, world, *good, *bad)
    # Then it has their results, under its own ids
    assert [end["result"]["payload"] for end in results] == [{"n": 0}, {"n": 1}]
    assert [end["result"]["task"] for end in results] == ids
    # And the errors with their texts
    assert (unknown["state"], unknown["error"]) == ("FAILURE", "UnknownTenant")
    assert "godel tenants add nobody" in unknown["text"][0]
    assert misspelt["error"] == "InvalidTask"
    assert "did you mean 'region'" in misspelt["text"][0]


def test_the_example_in_node_prints_the_result(world: World, node: Path):
    (node / "example.js").write_text(example("javascript", world.url))
    assert "page: 7" in run_node(node, "example.js")


def test_the_example_in_python_prints_the_result(world: World, tmp_path: Path):
    path = tmp_path / "example.py"
    path.write_text(example("python", world.url))
    done = subprocess.run(
        [sys.executable, "-I", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "{'page': 7}" in done.stdout, done.stderr
