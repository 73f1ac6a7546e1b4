"""taskiq, with taskiq-redis: a stream, because its list broker acknowledges nothing."""

from __future__ import annotations

import asyncio

from taskiq.serializers import ORJSONSerializer, PickleSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.peers.apps import client

#: Calls at once of the client.
AT_ONCE = 100

serializer = (
    ORJSONSerializer() if client.settings()["serializer"] == "orjson" else PickleSerializer()
)
broker = RedisStreamBroker(
    client.queue_url(), xread_count=client.settings()["xread_count"]
).with_result_backend(RedisAsyncResultBackend(client.results_url(), serializer=serializer))


async def _noop(tenant_id: str, payload: dict[str, int]) -> None:
    """Does nothing."""


noop = broker.task("noop")(_noop)


def enqueue(count: int) -> list[str]:
    async def all_of_them() -> list[str]:
        await broker.startup()
        ids: list[str] = []
        while len(ids) < count:
            calls = (
                noop.kiq(client.TENANT, client.PAYLOAD)
                for _ in range(min(AT_ONCE, count - len(ids)))
            )
            ids += [sent.task_id for sent in await asyncio.gather(*calls)]
        await broker.shutdown()
        return ids

    return asyncio.run(all_of_them())


def succeeded(ids: list[str]) -> int:
    async def all_of_them() -> int:
        backend = broker.result_backend
        found = 0
        for task_id in ids:
            if await backend.is_result_ready(task_id):
                found += not (await backend.get_result(task_id)).is_err
        await broker.shutdown()
        return found

    return asyncio.run(all_of_them())


if __name__ == "__main__":
    client.main(enqueue, succeeded)
