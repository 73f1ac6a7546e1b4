"""`celery -A workers.dispatcher worker`: a worker that dispatches and does nothing else."""

from __future__ import annotations

from godel_tasks.celery import make_app

app = make_app("workers.dispatcher", control=False)
