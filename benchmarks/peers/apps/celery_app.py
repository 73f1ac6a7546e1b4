"""Celery."""

from __future__ import annotations

from celery import Celery

from benchmarks.peers.apps import client
from godel_tasks.embedded.urls import for_celery

app = Celery(
    "peer", broker=for_celery(client.queue_url()), backend=for_celery(client.results_url())
)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=False,
    task_publish_retry=False,
    worker_prefetch_multiplier=client.settings()["prefetch_multiplier"],
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(tenant_id: str, payload: dict[str, int]) -> None:
    """Does nothing."""


def enqueue(count: int) -> list[str]:
    # A subscription to each result, which the backend makes at publish, is the producer's affair.
    return [noop.apply_async((client.TENANT, client.PAYLOAD)).id for _ in range(count)]


def succeeded(ids: list[str]) -> int:
    return sum(app.AsyncResult(task_id).state == "SUCCESS" for task_id in ids)


if __name__ == "__main__":
    client.main(enqueue, succeeded)
