"""A pool that is a StatefulSet: an instance is the pod of the same name, `<workload>-<number>`.

Its pods come and go at the end: the next one is made with the number after the last, and only the
last one can be removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.errors import SpawnFailed, Unsupported
from godel_tasks.instances.pods.cluster import Cluster
from godel_tasks.instances.pods.scaling import of_pool, scaled
from godel_tasks.instances.pods.values import CONFIG, INSTANCE, Pod, Ref, Workload
from godel_tasks.instances.pods.waiting import Pace, until_gone, until_ready


@dataclass(frozen=True, slots=True)
class StatefulPods:
    """One StatefulSet."""

    cluster: Cluster
    ref: Ref
    pace: Pace

    async def next_id(self) -> str:
        return f"{self.ref.name}-{(await self.cluster.workload(self.ref)).end}"

    async def spawn(self, pool: str, instance_id: str, *, config: str, ready_s: float) -> None:
        """As `Provider.spawn`.

        Raises:
            SpawnFailed: that is not the name of the next pod, or it did not come up.
        """
        await of_pool(self.cluster, self.ref, pool)
        number = self.ref.ordinal(instance_id)

        def wanted(workload: Workload) -> int | None:
            if number is None or not workload.first <= number <= workload.end:
                raise SpawnFailed(
                    f"{self.ref} cannot make {instance_id!r}: a StatefulSet names its pods itself, "
                    f"and the next one is {self.ref.name}-{workload.end}",
                    hint="spawn that one, or make the pool a Deployment",
                )
            return workload.replicas + 1 if number == workload.end else None

        before = await scaled(self.cluster, self.ref, wanted)
        made = number == before.end
        try:
            await self._mark(instance_id, config, ready_s)
            await until_ready(
                self.cluster, instance_id, instance_id, ready_s=ready_s, pace=self.pace
            )
        except BaseException:
            if made:
                await self._take_back(instance_id)
            raise

    async def _mark(self, instance_id: str, config: str, ready_s: float) -> None:
        """Write on the pod, once it is there, that it was made to be an instance."""
        notes = {INSTANCE: instance_id, **({CONFIG: config} if config else {})}
        async for _ in self.pace.rounds(ready_s):
            pod = await self.cluster.pod(instance_id)
            if pod is not None and not pod.leaving:
                await self.cluster.annotate(pod, notes)
                return
        raise SpawnFailed(
            f"{self.ref} made no pod {instance_id!r} within {ready_s:g} s",
            hint=f"are the pods before it ready? Look with: kubectl describe {self.ref}",
        )

    async def _take_back(self, instance_id: str) -> None:
        """It was the last one when it was made. It may not be any more."""
        number = self.ref.ordinal(instance_id)
        await scaled(
            self.cluster,
            self.ref,
            lambda now: now.replicas - 1 if now.end - 1 == number else None,
        )

    async def remove(self, instance_id: str, *, grace_s: float | None) -> None:
        """As `Provider.remove`.

        Raises:
            Unsupported: it is not the last one.
        """
        number = self.ref.ordinal(instance_id)
        pod = await self.cluster.pod(instance_id)

        def wanted(workload: Workload) -> int | None:
            if number is None or not workload.first <= number < workload.end:
                return None
            if number != workload.end - 1:
                raise Unsupported(
                    f"{instance_id!r} cannot be removed yet: a StatefulSet gives up its last pod "
                    f"first, which is {self.ref.name}-{workload.end - 1}",
                    hint="remove that one, or make the pool a Deployment",
                )
            return workload.replicas - 1

        await scaled(self.cluster, self.ref, wanted)
        if pod is not None:
            if grace_s is not None:
                await self.cluster.delete(pod, grace_s=grace_s)
            await until_gone(self.cluster, pod, grace_s=grace_s, pace=self.pace)

    async def restart(self, pod: Pod, *, ready_s: float) -> None:
        """Let the pod end; its controller makes another one of the same name and volumes."""
        await self.cluster.delete(pod)
        again = await until_ready(
            self.cluster,
            pod.name,
            pod.name,
            ready_s=pod.grace_s + ready_s,
            pace=self.pace,
            not_uid=pod.uid,
        )
        notes = {key: pod.annotations[key] for key in (INSTANCE, CONFIG) if key in pod.annotations}
        if notes:
            await self.cluster.annotate(again, notes)
