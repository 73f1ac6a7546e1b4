"""Change how many pods a workload is to have, in step with whoever else does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from godel_tasks.errors import ProviderRefused, SpawnFailed
from godel_tasks.instances.pods.cluster import CONFLICT, NOT_FOUND, Cluster
from godel_tasks.instances.pods.values import POOL, Ref, Workload

#: Each lost race means that somebody else has made progress.
TRIES = 30
PAUSE_S = 0.2


async def scaled(cluster: Cluster, ref: Ref, wanted: Callable[[Workload], int | None]) -> Workload:
    """Scale to what `wanted` says of the workload as it is, and back when that was accepted; asked
    anew whenever somebody else was faster. None: leave it. Comes back with the workload as it was
    at the last look.

    Raises:
        ProviderRefused: the cluster would not, or somebody else was faster every time.
    """
    for tries_left in reversed(range(TRIES)):
        workload = await cluster.workload(ref)
        replicas = wanted(workload)
        if replicas is None:
            return workload
        try:
            await cluster.scale(workload, replicas)
        except ProviderRefused as error:
            if error.status != CONFLICT or not tries_left:
                raise
            await asyncio.sleep(PAUSE_S * random.random())
        else:
            return workload
    raise AssertionError("unreachable")


async def of_pool(cluster: Cluster, ref: Ref, pool: str) -> Workload:
    """The workload, if it was handed over for that pool.

    Raises:
        SpawnFailed: there is none, or its pods are of no pool or of another one.
    """
    try:
        workload = await cluster.workload(ref)
    except ProviderRefused as error:
        if error.status != NOT_FOUND:
            raise
        raise SpawnFailed(
            f"namespace {cluster.namespace!r} has no {ref}",
            hint="apply its manifest, or correct the option workload",
        ) from error
    if workload.pool != pool:
        label = f"{POOL}: {workload.pool}" if workload.pool else f"no label {POOL}"
        raise SpawnFailed(
            f"the pods of {ref} are not of pool {pool!r}: they have {label}",
            hint=f"give its pod template the label {POOL}: {pool}",
        )
    return workload
