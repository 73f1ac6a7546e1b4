"""`celery -A tests.canvas.plain_worker worker`: runs the ordinary tasks."""

from __future__ import annotations

from godel_tasks.celery import app as godel_app
from tests.canvas.plain import make_plain

app = make_plain(godel_app)
