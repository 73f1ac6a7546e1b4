"""arq. It keeps queue and results in one database."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from benchmarks.peers.apps import client

#: Calls at once of the client.
AT_ONCE = 50

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
redis_settings = RedisSettings.from_dsn(client.queue_url())
#: Its command line logs every job otherwise.
QUIET = {"version": 1, "loggers": {"arq": {"level": "WARNING"}}}


async def noop(ctx: dict[str, Any], tenant_id: str, payload: dict[str, int]) -> None:
    """Does nothing."""


class WorkerSettings:
    """What `arq benchmarks.peers.apps.arq_app.WorkerSettings` runs."""

    functions = (noop,)
    redis_settings = redis_settings
    max_jobs = client.settings()["max_jobs"]
    poll_delay = client.settings()["poll_delay_s"]
    keep_result = 3600
    log_results = False


def enqueue(count: int) -> list[str]:
    async def all_of_them() -> list[str]:
        pool = await create_pool(redis_settings)
        ids: list[str] = []
        while len(ids) < count:
            calls = (
                pool.enqueue_job("noop", client.TENANT, client.PAYLOAD)
                for _ in range(min(AT_ONCE, count - len(ids)))
            )
            ids += [job.job_id for job in await asyncio.gather(*calls) if job is not None]
        await pool.aclose()
        return ids

    return asyncio.run(all_of_them())


def succeeded(ids: list[str]) -> int:
    async def all_of_them() -> int:
        pool = await create_pool(redis_settings)
        found = 0
        for job_id in ids:
            info = await Job(job_id, pool).result_info()
            found += info is not None and info.success
        await pool.aclose()
        return found

    return asyncio.run(all_of_them())


if __name__ == "__main__":
    client.main(enqueue, succeeded)
