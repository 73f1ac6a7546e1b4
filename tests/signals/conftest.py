"""An app of Godel's on a real server, and a look at what it queued."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.celery import GodelCelery, make_app
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.command import plain
from godel_tasks.store.records import Record, parse_record


class Producer:
    """An app with a tenant `acme`, whose tasks nobody takes."""

    def __init__(self, redis_url: str, data_dir: Path) -> None:
        self.app: GodelCelery = make_app("tests.signals")
        self.runtime = Runtime(load_settings(redis_url=redis_url, data_dir=data_dir))
        self.app.godel = self.runtime
        self.task: Any = self.app.tasks["godel_tasks.submit_task"]
        self.tenant("acme")

    def tenant(self, name: str, **fields: Any) -> None:
        self.runtime.store.run(self.runtime.cells[0].tenants.put(TenantConfig(name, **fields)))

    def queued(self) -> dict[str, Record]:
        """What waits, by id."""
        run, keys = self.runtime.store.run, self.runtime.cells[0].queue.keys
        lanes = run(plain("KEYS", keys.fixed("lane") + "*", decode=list))
        records = [
            parse_record(item)
            for lane in lanes
            for item in run(plain("LRANGE", lane, 0, -1, decode=list))
        ]
        return {record.task_id: record for record in records}

    def close(self) -> None:
        self.runtime.store.close()
        self.app.close()


@pytest.fixture
def producer(redis_url: str, tmp_path: Path) -> Iterator[Producer]:
    found = Producer(redis_url, tmp_path)
    yield found
    found.close()
