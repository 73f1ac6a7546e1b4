"""Dramatiq, with its Redis broker and the results middleware."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import RedisBackend

from benchmarks.peers.apps import client

broker = RedisBroker(url=client.queue_url())
broker.add_middleware(Results(backend=RedisBackend(url=client.results_url())))
dramatiq.set_broker(broker)


def _noop(tenant_id: str, payload: dict[str, int]) -> None:
    """Does nothing."""


noop = dramatiq.actor(_noop, actor_name="noop", store_results=True)


def enqueue(count: int) -> list[str]:
    return [noop.send(client.TENANT, client.PAYLOAD).message_id for _ in range(count)]


def succeeded(ids: list[str]) -> int:
    message = noop.message(client.TENANT, client.PAYLOAD)
    found = 0
    for message_id in ids:
        try:
            found += message.copy(message_id=message_id).get_result() is None
        except ResultMissing:
            continue
    return found


if __name__ == "__main__":
    client.main(enqueue, succeeded)
