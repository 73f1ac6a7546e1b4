"""`celery -A workers.control worker`: a worker that runs control jobs and does not dispatch."""

from __future__ import annotations

from godel_tasks.celery import make_app

app = make_app("workers.control", dispatch=False)
