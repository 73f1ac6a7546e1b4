"""Godel: the client. Its workers are ordinary dispatchers and instances."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.apps import client
from godel_tasks import app, submit_tasks
from godel_tasks.domain.tenant import TenantConfig

#: Tasks of which results are read at once.
CHUNK = 1000


def tenants() -> list[str]:
    return [f"{client.TENANT}{n + 1}" for n in range(client.settings()["tenants"])]


def enqueue(count: int) -> list[str]:
    runtime, names = app.godel, tenants()
    for name in names:
        runtime.store.run(runtime.cell_of(name).tenants.put(TenantConfig(name, max_queue=count)))
    items = [{"tenant_id": names[n % len(names)], "payload": client.PAYLOAD} for n in range(count)]
    outcomes = submit_tasks(items)
    if refused := next((one for one in outcomes if not one.ok), None):
        raise RuntimeError(f"refused: {refused.error}")
    return [one.task_id for one in outcomes]


def succeeded(ids: list[str]) -> int:
    """Read as any Celery client reads them, many at once."""
    backend: Any = app.backend
    found = 0
    for i in range(0, len(ids), CHUNK):
        metas = backend.get_many(ids[i : i + CHUNK], interval=None, max_iterations=1)
        found += sum(meta["status"] == "SUCCESS" for _, meta in metas)
    return found


if __name__ == "__main__":
    client.main(enqueue, succeeded)
