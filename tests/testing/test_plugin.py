"""The plugin in the hands of a user: found by itself, and nothing to those who do not ask."""

from __future__ import annotations

import re

from tests.testing.conftest import ROOT, UserProject, files_of

PAGE = ROOT / "docs/how-to/test-your-code.md"

IDLE = """
import sys

def test_nothing_of_godel_is_imported():
    assert {m for m in sys.modules if m.startswith("godel_tasks.")} == {
        "godel_tasks.testing", "godel_tasks.testing.plugin"}
    assert not {"celery", "redis", "fakeredis", "grpc"} & set(sys.modules)
"""

LEFT_OVER = """
import pytest
from godel_tasks import app, submit_task
from godel_tasks.errors import StoreUnavailable

def test_offline(godel):
    godel.tenant("acme")
    submit_task.delay("acme", 1)

def test_live(godel_worker):
    godel_worker(lambda payload: payload, tenants=["acme"])
    assert submit_task.delay("acme", 1).get(timeout=30) == 1

def test_neither():
    # No server runs that the app would find by itself.
    with pytest.raises(StoreUnavailable):
        submit_task.delay("acme", 1)
"""

WITHOUT_FAKEREDIS = """
import importlib.util as util
found = util.find_spec
util.find_spec = lambda name, *more: None if name == "fakeredis" else found(name, *more)
"""


def test_examples_of_the_page_run(project: UserProject) -> None:
    # Given the files of the page, each named in its first line
    files = files_of(PAGE)
    files["test_last.py"] = LEFT_OVER
    project.write(files)
    # When pytest runs them
    ran = project.pytest()
    # Then all of them pass, and the app is free again between them
    expected = sum(len(re.findall(r"^ *def test_", text, re.MULTILINE)) for text in files.values())
    assert ran.counts == {"passed": expected}, ran.text


def test_who_does_not_use_it_does_not_pay_for_it(project: UserProject) -> None:
    project.write({"test_idle.py": IDLE})
    ran = project.pytest()
    assert ran.counts == {"passed": 1}, ran.text


def test_a_missing_extra_is_named(project: UserProject) -> None:
    project.write({"test_left_over.py": LEFT_OVER, "conftest.py": WITHOUT_FAKEREDIS})
    ran = project.pytest("-k", "offline")
    assert ran.counts == {"error": 1}, ran.text
    assert "pip install godel-tasks[testing]" in ran.text
