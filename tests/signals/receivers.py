"""A user's receivers, for `celery worker -I tests.signals.receivers`: a line for each signal, in
the file that `SIGNALS_TO` names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from celery import signals


def _write(signal: str, task_id: str, node: str) -> None:
    with Path(os.environ["SIGNALS_TO"]).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps([signal, task_id, node]) + "\n")


@signals.task_success.connect
def on_success(sender: Any, **_: Any) -> None:
    if sender.name == "godel_tasks.submit_task":
        _write("success", sender.request.id, sender.request.hostname)


@signals.task_revoked.connect
def on_revoked(request: Any, **_: Any) -> None:
    _write("revoked", request.id, request.hostname)


@signals.task_prerun.connect
def on_prerun(task_id: str, task: Any, **_: Any) -> None:
    if task.name == "godel_tasks.submit_task":
        _write("prerun", task_id, "")
