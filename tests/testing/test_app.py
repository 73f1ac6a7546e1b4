"""The default app can be asked too early: pytest does so when it looks at a test file's names."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
from godel_tasks import app, submit_task
from godel_tasks.errors import StoreUnavailable

for ask in (lambda: submit_task.name, lambda: app.conf.broker_url, lambda: app.tasks):
    try:
        ask()
    except StoreUnavailable:
        continue
    raise SystemExit("a server was found")
os.environ["GODEL_REDIS_URL"] = "redis://there.invalid:1/0"
vars(app).pop("godel")
print(submit_task.name, app.conf.result_backend, app.conf.worker_pool)
"""


def test_an_app_that_found_no_server_finds_it_later(tmp_path) -> None:
    # Given a process in which no server is to be found at first, and then one is
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"GODEL_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=".",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Then the app is whole: its tasks and its settings are there
    assert done.stdout == "godel_tasks.submit_task redis://there.invalid:1/0 threads\n", done.stderr
