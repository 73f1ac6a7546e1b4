"""`celery -A godel_tasks godel ...` is the `godel` command."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.control.conftest import celery
from tests.world import REPOSITORY, World


def test_the_godel_command_is_a_sub_command_of_celery(world: World):
    def run(words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            celery("-A", "godel_tasks", "godel", *words.split()),
            cwd=REPOSITORY, env=world.env(), capture_output=True, text=True, check=False,
        )  # fmt: skip

    # When the tenants, and a task that is not there, are asked for through `celery`
    with ThreadPoolExecutor() as both:
        right, wrong = both.map(run, ["tenants list --json", "tasks show nobody --json"])
    # Then the answer is that of `godel`
    assert "acme" in [tenant["tenant"] for tenant in json.loads(right.stdout)["tenants"]]
    # And so are its errors and exit codes
    assert (right.returncode, wrong.returncode) == (0, 5)
    assert json.loads(wrong.stdout)["error"]["type"] == "TaskNotFound"


def test_celery_does_not_pay_for_it():
    # When the `celery` command is made ready, with Godel's app
    code = (
        "import sys; from celery.bin.celery import celery; import godel_tasks.celery;"
        "assert 'godel' in celery.commands, list(celery.commands);"
        "print(*(m for m in sys.modules if m.startswith('godel_tasks.cli')));"
        "print('typer' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    # Then nothing of the command is imported but the hand-over
    assert out.split() == ["godel_tasks.cli", "godel_tasks.cli.celery_plugin", "False"]
