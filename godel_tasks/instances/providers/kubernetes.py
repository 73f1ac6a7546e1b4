"""The `kubernetes` provider: an instance is a pod, and a pool a StatefulSet or a Deployment that
somebody has applied and whose pods carry the label `godel.dev/pool`. Godel only scales it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cached_property

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import ProviderRefused, UnknownInstance, Unsupported
from godel_tasks.instances.pods import connecting
from godel_tasks.instances.pods import options as told
from godel_tasks.instances.pods.cluster import NOT_FOUND, Cluster
from godel_tasks.instances.pods.connecting import Configure
from godel_tasks.instances.pods.deployment import DeployedPods
from godel_tasks.instances.pods.options import PodOptions
from godel_tasks.instances.pods.statefulset import StatefulPods
from godel_tasks.instances.pods.values import CONFIG, POOL, Kind, Pod, Ref
from godel_tasks.instances.pods.waiting import Pace
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.described import describe, described, filled, values_of
from godel_tasks.settings import load_settings


class KubernetesProvider(Provider):
    """Knows the pods of one namespace: the setting `kubernetes_namespace`, else the one that this
    process or its kubeconfig is in."""

    name = told.PROVIDER

    def __init__(
        self,
        namespace: str = "",
        *,
        configure: Configure = connecting.configuration,
        pace: Pace | None = None,
    ) -> None:
        self._given = namespace
        self._configure = configure
        self._pace = pace or Pace()

    @cached_property
    def _namespace(self) -> str:
        return self._given or load_settings().kubernetes_namespace or connecting.namespace()

    @property
    def place(self) -> str:
        """The namespace: every process that looks after the fleet is to see the same cluster."""
        return self._namespace

    def check(self, template: InstanceTemplate) -> None:
        told.read(template)

    def last_first(self, template: InstanceTemplate) -> bool:
        return told.read(template).workload.kind is Kind.STATEFULSET

    async def next_id(self, template: InstanceTemplate) -> str:
        ref = told.read(template).workload
        if ref.kind is Kind.DEPLOYMENT:
            return ""
        async with self._cluster() as cluster:
            return await StatefulPods(cluster, ref, self._pace).next_id()

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        """As the contract has it; comes back when the pod is ready."""
        options = told.read(template)
        config = _config(template, options, instance_id)
        async with self._cluster() as cluster:
            pods = self._pods(cluster, options.workload)
            await pods.spawn(template.pool, instance_id, config=config, ready_s=options.ready_s)

    async def start(self, config: InstanceConfig) -> None:
        """Nothing, where its pod is there: the cluster itself keeps it running.

        Raises:
            UnknownInstance: there is no such pod.
        """
        async with self._cluster() as cluster:
            await _pod_of(cluster, config)

    async def stop(self, config: InstanceConfig) -> None:
        """Raises: UnknownInstance as `start`; else Unsupported."""
        async with self._cluster() as cluster:
            await _pod_of(cluster, config)
        raise Unsupported(
            f"{config.instance_id!r} cannot be stopped: a pod either runs or is not there",
            hint="drain it, or remove it",
        )

    async def restart(self, config: InstanceConfig) -> None:
        """Let its pod end, and come back when the one in its place is ready; of a StatefulSet with
        the same name and volumes, of a Deployment as a new pod.

        Raises:
            UnknownInstance: there is no such pod.
            SpawnFailed: the new one did not come up; the cluster goes on trying.
        """
        async with self._cluster() as cluster:
            pod = await _pod_of(cluster, config)
            ref = await cluster.owner(pod)
            if ref is None:
                raise _unknown(cluster, config)
            await self._pods(cluster, ref).restart(pod, ready_s=told.READY_S)

    async def remove(self, instance_id: str, *, grace_s: float | None = None) -> None:
        """As the contract has it.

        Raises:
            Unsupported: it is a pod of a StatefulSet, and not the last one.
        """
        async with self._cluster() as cluster:
            pod = await _find(cluster, instance_id)
            if pod is None:
                ref = await _statefulset_of(cluster, instance_id)
                if ref is None:
                    return
            else:
                owner = await cluster.owner(pod)
                if owner is None:
                    return
                ref = owner
            if ref.kind is Kind.STATEFULSET:
                stateful = StatefulPods(cluster, ref, self._pace)
                await stateful.remove(instance_id, grace_s=grace_s)
            elif pod is not None:
                await DeployedPods(cluster, ref, self._pace).remove(pod, grace_s=grace_s)

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:
        async with self._cluster() as cluster:
            pods = await cluster.pods(f"{POOL}={pool}" if pool else POOL)
        return [_provided(pod) for pod in pods if pod.made]

    async def last_words(self, instance_id: str) -> str:
        async with self._cluster() as cluster:
            pod = await _find(cluster, instance_id)
            return await cluster.last_words(pod) if pod else ""

    def _cluster(self) -> AbstractAsyncContextManager[Cluster]:
        return connecting.connected(self._namespace, self._configure)

    def _pods(self, cluster: Cluster, ref: Ref) -> StatefulPods | DeployedPods:
        kind = StatefulPods if ref.kind is Kind.STATEFULSET else DeployedPods
        return kind(cluster, ref, self._pace)


def _config(template: InstanceTemplate, options: PodOptions, instance_id: str) -> str:
    endpoint = filled(options.endpoint, values_of(template, instance_id))
    return describe(
        template,
        instance_id,
        provider=told.PROVIDER,
        endpoint=endpoint,
        credentials=options.credentials,
    )


async def _find(cluster: Cluster, instance_id: str) -> Pod | None:
    """Its pod; one that is leaving only if there is no other."""
    found = [pod for pod in await cluster.pods(POOL) if pod.instance_id == instance_id]
    return min(found, key=lambda pod: pod.leaving, default=None)


async def _pod_of(cluster: Cluster, config: InstanceConfig) -> Pod:
    pod = await _find(cluster, config.instance_id)
    if pod is None:
        raise _unknown(cluster, config)
    return pod


def _unknown(cluster: Cluster, config: InstanceConfig) -> UnknownInstance:
    return UnknownInstance(
        f"namespace {cluster.namespace!r} has no pod of instance {config.instance_id!r}",
        hint="it is known only to the cluster that it was made in; one that is gone for good "
        "cannot be started: spawn another one in its pool",
    )


async def _statefulset_of(cluster: Cluster, instance_id: str) -> Ref | None:
    """The StatefulSet that would make a pod of that name again."""
    ref = Ref(Kind.STATEFULSET, instance_id.rpartition("-")[0])
    if ref.ordinal(instance_id) is None or not ref.name:
        return None
    try:
        return ref if (await cluster.workload(ref)).pool else None
    except ProviderRefused as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _provided(pod: Pod) -> ProvidedInstance:
    config = described(pod.annotations.get(CONFIG, ""))
    if config is not None:
        own = {"ip": pod.ip, "pod": pod.name}
        config = replace(config, endpoint=filled(config.endpoint, own))
    return ProvidedInstance(
        instance_id=pod.instance_id,
        pool=pod.pool,
        running=pod.phase == "Running" and not pod.leaving,
        detail=f"pod {pod.name}, {'Terminating' if pod.leaving else pod.phase}",
        config=config,
    )
