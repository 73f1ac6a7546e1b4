"""Wait for a pod to be ready, or gone, and say why it is not."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from godel_tasks.errors import SpawnFailed
from godel_tasks.instances.pods.cluster import Cluster
from godel_tasks.instances.pods.values import Pod

#: Beyond the time that a pod has for ending.
GONE_S = 30.0
_HINT = "correct what it says; if it only needs longer, raise the option ready_s"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the cluster is asked."""

    poll_s: float = 0.5
    #: How long a controller has to choose which pod goes.
    choose_s: float = 10.0

    async def rounds(self, limit_s: float) -> AsyncIterator[None]:
        """One turn now, and one after each pause, until the time is over."""
        deadline = time.monotonic() + limit_s
        while True:
            yield
            if time.monotonic() > deadline:
                return
            # Jittered: several that wait for the same workload get out of each other's way.
            await asyncio.sleep(self.poll_s * random.uniform(0.5, 1.0))


async def until_ready(
    cluster: Cluster, name: str, instance_id: str, *, ready_s: float, pace: Pace, not_uid: str = ""
) -> Pod:
    """The pod, once it is ready; with `not_uid` another one than that.

    Raises:
        SpawnFailed: it will not be, or was not in time; the message has its last words.
    """
    pod = None
    async for _ in pace.rounds(ready_s):
        pod = await cluster.pod(name)
        if pod is None or pod.leaving or pod.uid == not_uid:
            continue
        if pod.ready:
            return pod
        if pod.problem:
            raise await failed(cluster, pod, instance_id, f"does not come up: {pod.problem}")
    waits = f" ({pod.waits})" if pod and pod.waits else ""
    raise await failed(
        cluster, pod, instance_id, f"was not ready within {ready_s:g} s{waits}", name
    )


async def failed(
    cluster: Cluster, pod: Pod | None, instance_id: str, what: str, name: str = ""
) -> SpawnFailed:
    """The error about it, with its last words."""
    words = await cluster.last_words(pod) if pod else ""
    return SpawnFailed(
        f"pod {pod.name if pod else name!r} of instance {instance_id!r} {what}:\n"
        + (words or "  (it said nothing)"),
        hint=_HINT,
    )


async def until_gone(cluster: Cluster, pod: Pod, *, grace_s: float | None, pace: Pace) -> None:
    """Back when that pod is no more.

    Raises:
        SpawnFailed: it is still there long after its time; its node may be lost.
    """
    limit_s = (pod.grace_s if grace_s is None else grace_s) + GONE_S
    async for _ in pace.rounds(limit_s):
        now = await cluster.pod(pod.name)
        if now is None or now.uid != pod.uid:
            return
    raise SpawnFailed(
        f"pod {pod.name!r} is still there {limit_s:g} s after it was to end",
        hint="its node may be lost; look with: kubectl get pod -o wide " + pod.name,
    )
