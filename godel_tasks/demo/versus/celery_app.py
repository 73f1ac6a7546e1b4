"""Plain Celery: one queue, one priority, and the settings that its documentation recommends.

    VERSUS_BROKER_URL=redis+socket:///... celery -A godel_tasks.demo.versus.celery_app worker

Nothing of Godel is imported here but the handler, which both sides share.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from godel_tasks.demo.versus.handler import answer as handler

#: Names the broker.
BROKER = "VERSUS_BROKER_URL"
QUEUE = "versus"

#: All that differs from Celery's defaults.
SETTINGS: dict[str, Any] = {
    "task_default_queue": QUEUE,
    # A task of a killed worker is not lost: acknowledged after its end, and given to another one.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # No worker hoards: it takes a task when it has a process for it.
    "worker_prefetch_multiplier": 1,
    # Nobody reads results here, so Celery need not store any. (Godel stores all of its own.)
    "task_ignore_result": True,
    # To Celery's favour. By default the tasks of a killed worker come back after an hour, and
    # whether it is time is looked at every 100 s.
    "broker_transport_options": {
        "visibility_timeout": 30,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
}
#: Of `celery worker`.
FLAGS = ("--pool", "prefork", "--without-gossip", "--without-mingle")

app = Celery("versus", broker=os.environ.get(BROKER))
app.conf.update(SETTINGS)
answer = app.task(name="versus.answer")(handler)
