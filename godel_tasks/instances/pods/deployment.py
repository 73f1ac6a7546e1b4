"""A pool that is a Deployment: an instance is a pod that was given its id, as an annotation.

A pod without the annotation is no instance yet; what runs in it waits to be told who it is. So
whoever wants an instance takes such a pod if there is one, else asks for one pod more. Taking one
is a write that only one can win, so two never get the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.errors import ProviderRefused, SpawnFailed
from godel_tasks.instances.pods.cluster import CONFLICT, NOT_FOUND, Cluster
from godel_tasks.instances.pods.scaling import of_pool, scaled
from godel_tasks.instances.pods.values import (
    CONFIG,
    DELETION_COST,
    INSTANCE,
    LOWEST_COST,
    Pod,
    Ref,
    Workload,
)
from godel_tasks.instances.pods.waiting import Pace, until_gone, until_ready


@dataclass(frozen=True, slots=True)
class DeployedPods:
    """One Deployment."""

    cluster: Cluster
    ref: Ref
    pace: Pace

    async def spawn(self, pool: str, instance_id: str, *, config: str, ready_s: float) -> None:
        """As `Provider.spawn`."""
        workload = await of_pool(self.cluster, self.ref, pool)
        notes = {INSTANCE: instance_id, **({CONFIG: config} if config else {})}
        pod = await self._find(workload.selector, instance_id)
        made = False
        if pod is None:
            pod, made = await self._take(workload, notes, more=True, ready_s=ready_s)
        try:
            stays = not made or await self._alone(workload.selector, pod, instance_id)
            if stays:
                await until_ready(
                    self.cluster, pod.name, instance_id, ready_s=ready_s, pace=self.pace
                )
        except BaseException:
            if made:
                await self.remove(pod, grace_s=0)
            raise
        if not stays:
            await self.remove(pod, grace_s=0)
            await self.spawn(pool, instance_id, config=config, ready_s=ready_s)

    async def remove(self, pod: Pod, *, grace_s: float | None) -> None:
        """One pod less, and this one goes. Its controller first takes pods that are not ready, and
        of those that are the one with the lowest deletion cost. If it took another one, this one is
        deleted, and what is made in its place stands for that other one.

        One that has ended for good has a successor already, so it is only deleted."""
        if not pod.counts:
            await self.cluster.delete(pod, grace_s=grace_s)
        else:
            await self.cluster.annotate(pod, {DELETION_COST: LOWEST_COST})
            await scaled(self.cluster, self.ref, _one_less)
            if not await self._chosen(pod):
                await self.cluster.delete(pod, grace_s=grace_s)
        if grace_s is not None:
            await self.cluster.delete(pod, grace_s=grace_s)
        await until_gone(self.cluster, pod, grace_s=grace_s, pace=self.pace)

    async def restart(self, pod: Pod, *, ready_s: float) -> None:
        """Let the pod end, and give its id to the one that its controller makes in its place."""
        notes = {key: pod.annotations[key] for key in (INSTANCE, CONFIG) if key in pod.annotations}
        workload = await self.cluster.workload(self.ref)
        await self.cluster.delete(pod)
        again, _ = await self._take(workload, notes, more=False, ready_s=pod.grace_s + ready_s)
        await until_ready(
            self.cluster, again.name, pod.instance_id, ready_s=ready_s, pace=self.pace
        )

    async def _find(self, selector: str, instance_id: str) -> Pod | None:
        for pod in await self.cluster.pods(selector):
            if pod.instance_id == instance_id and pod.stays:
                return pod
        return None

    async def _take(
        self, workload: Workload, notes: dict[str, str], *, more: bool, ready_s: float
    ) -> tuple[Pod, bool]:
        """A pod that has no id gets this one; with `more` another pod is asked for if need be.
        Comes back with the pod, and whether it was given the id here and not by somebody else."""
        asked, trying = False, None
        try:
            async for _ in self.pace.rounds(ready_s):
                pods = [one for one in await self.cluster.pods(workload.selector) if one.stays]
                for pod in pods:
                    if pod.instance_id == notes[INSTANCE]:
                        if asked:
                            await self._take_back(workload.selector)
                        return pod, False
                free = [one for one in pods if not one.instance_id]
                # Those that run begin at once. One that cannot come up is taken when there is no
                # other: it says why, and goes.
                free.sort(key=lambda one: (one.problem, one.phase != "Running", one.name))
                for trying in free:
                    if await self._taken(trying, notes):
                        return trying, True
                trying = None
                if more and not free:
                    asked = await self._one_more(len(pods)) or asked
            raise SpawnFailed(
                f"{self.ref} made no pod for instance {notes[INSTANCE]!r} within {ready_s:g} s",
                hint="look with: kubectl describe " + str(self.ref),
            )
        except BaseException:
            if more:
                await self._give_up(workload, notes[INSTANCE], trying, asked=asked)
            raise

    async def _give_up(
        self, workload: Workload, instance_id: str, trying: Pod | None, *, asked: bool
    ) -> None:
        """Whoever is cut off does not know whether the pod that it tried to take was taken."""
        pod = await self.cluster.pod(trying.name) if trying else None
        if pod is not None and pod.instance_id == instance_id:
            await self.remove(pod, grace_s=0)
        elif asked:
            await self._take_back(workload.selector)

    async def _alone(self, selector: str, pod: Pod, instance_id: str) -> bool:
        """Whether it is the only pod of that id. Two who make the same instance at once may each
        have taken one: then the one with the lesser name stays if the other one yields, which has
        to have seen it for that, and else the one that is there already."""
        async for _ in self.pace.rounds(self.pace.choose_s):
            others = [
                one.name
                for one in await self.cluster.pods(selector)
                if one.instance_id == instance_id and one.stays and one.uid != pod.uid
            ]
            if not others:
                return True
            if min(others) < pod.name:
                return False
        return False

    async def _taken(self, pod: Pod, notes: dict[str, str]) -> bool:
        try:
            await self.cluster.annotate(pod, notes, unchanged=True)
        except ProviderRefused as error:
            if error.status in {CONFLICT, NOT_FOUND}:
                return False
            raise
        return True

    async def _one_more(self, there: int) -> bool:
        """Whether it was asked for; not while those that were asked for have yet to come."""
        workload = await self.cluster.workload(self.ref)
        if workload.replicas > there:
            return False
        try:
            await self.cluster.scale(workload, workload.replicas + 1)
        except ProviderRefused as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    async def _take_back(self, selector: str) -> None:
        """A pod that was asked for and that nobody has taken."""
        pods = await self.cluster.pods(selector)
        taken = sum(1 for pod in pods if pod.stays and pod.instance_id)
        await scaled(
            self.cluster, self.ref, lambda now: now.replicas - 1 if now.replicas > taken else None
        )

    async def _chosen(self, pod: Pod) -> bool:
        """Whether its controller let this one go."""
        async for _ in self.pace.rounds(self.pace.choose_s):
            now = await self.cluster.pod(pod.name)
            if now is None or now.leaving or now.uid != pod.uid:
                return True
        return False


def _one_less(workload: Workload) -> int | None:
    return max(workload.replicas - 1, 0)
