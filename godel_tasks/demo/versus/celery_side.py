"""Plain Celery's side."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import Any

import redis

from godel_tasks.demo.versus import celery_app
from godel_tasks.demo.versus.plan import SLOTS_EACH, WORKERS
from godel_tasks.demo.versus.side import Side, Stage
from godel_tasks.supervisor import ProcessSpec
from godel_tasks.supervisor.processes import answers_ping, celery

#: Seconds that a worker has to note a message that it took from the queue.
ON_ITS_WAY_S = 0.5


def _workers(stage: Stage) -> list[ProcessSpec]:
    names = [f"worker{number + 1}" for number in range(WORKERS)]
    return [
        ProcessSpec(
            name=name,
            command=celery(
                *("-A", celery_app.__name__, "worker", "-n", f"{name}@%h"),
                *("--concurrency", str(SLOTS_EACH), *celery_app.FLAGS),
            ),
            ready=answers_ping(stage.urls.broker, name),
        )
        for name in names
    ]


async def _prepare(_stage: Stage) -> None:
    """There is nothing to prepare: Celery knows no tenants."""


async def _held(stage: Stage, keys: Mapping[str, str]) -> Collection[str]:
    return await asyncio.to_thread(_held_by_broker, stage.urls.state, keys)


def _held_by_broker(url: str, keys: Mapping[str, str]) -> set[str]:
    """Those that wait in the queue, and those that were taken and not acknowledged.

    Between the two a message is nowhere for a moment: one that is on its way shows in the second
    look.
    """
    with redis.Redis.from_url(url) as client:
        first = _ids(client)
        time.sleep(ON_ITS_WAY_S)
        ids = first | _ids(client)
    return {key for task_id, key in keys.items() if task_id in ids}


def _ids(client: redis.Redis) -> set[str]:
    waiting: Any = client.lrange(celery_app.QUEUE, 0, -1)
    taken: Any = client.hvals("unacked")
    messages = [json.loads(raw) for raw in waiting] + [json.loads(raw)[0] for raw in taken]
    return {message["headers"]["id"] for message in messages}


def _settings() -> list[str]:
    told = dict(celery_app.SETTINGS)
    options = told.pop("broker_transport_options")
    told.pop("task_default_queue")
    settings = ", ".join(f"{name}={value}" for name, value in (told | options).items())
    flags = f"{' '.join(celery_app.FLAGS)} --concurrency {SLOTS_EACH}"
    return [
        f"Celery {version('celery')}: one queue, one priority, {WORKERS} x celery worker {flags}",
        f"{settings}, hiredis {version('hiredis')}",
    ]


SIDE = Side(
    name="celery",
    workers=_workers,
    victims=(("worker", "worker1"),),
    prepare=_prepare,
    held=_held,
    settings=_settings,
    env=lambda stage: {celery_app.BROKER: stage.urls.broker},
)
