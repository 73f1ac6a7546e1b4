"""The Kubernetes API, as far as the provider needs it: kubernetes-asyncio's calls, with our errors
and values, in one namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from godel_tasks.errors import InstanceUnavailable, ProviderRefused
from godel_tasks.instances.pods.reading import pod_of, workload_of
from godel_tasks.instances.pods.values import Kind, Pod, Ref, Workload

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

#: Of every request.
REQUEST_S = 30.0
NOT_FOUND, CONFLICT = 404, 409
#: Lines of a pod's log that an error shows, and characters of each.
LAST_WORDS = 12
SHOWN = 300
_LIMIT: dict[str, Any] = {"_request_timeout": REQUEST_S}
_MERGE: dict[str, Any] = {**_LIMIT, "_content_type": "application/merge-patch+json"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster.

    Everything raises InstanceUnavailable when the API cannot be reached, and ProviderRefused when
    it would not do it: 403 without the permission, 404, 409 when somebody else was faster.
    """

    client: ApiClient
    namespace: str

    async def workload(self, ref: Ref) -> Workload:
        from kubernetes_asyncio.client import AppsV1Api

        apps = AppsV1Api(self.client)
        with _translated(f"read {ref}"):
            if ref.kind is Kind.STATEFULSET:
                found: Any = await apps.read_namespaced_stateful_set(
                    ref.name, self.namespace, **_LIMIT
                )
            else:
                found = await apps.read_namespaced_deployment(ref.name, self.namespace, **_LIMIT)
        return workload_of(ref, found)

    async def scale(self, workload: Workload, replicas: int) -> None:
        """Ask for so many pods, if nobody has changed the workload since it was read (else 409)."""
        from kubernetes_asyncio.client import AppsV1Api

        apps, ref = AppsV1Api(self.client), workload.ref
        body = {
            "metadata": {"resourceVersion": workload.version},
            "spec": {"replicas": replicas},
        }
        with _translated(f"scale {ref} from {workload.replicas} to {replicas}"):
            if ref.kind is Kind.STATEFULSET:
                await apps.patch_namespaced_stateful_set_scale(
                    ref.name, self.namespace, body, **_MERGE
                )
            else:
                await apps.patch_namespaced_deployment_scale(
                    ref.name, self.namespace, body, **_MERGE
                )

    async def owner(self, pod: Pod) -> Ref | None:
        """The workload that a pod belongs to; None for any other pod."""
        from kubernetes_asyncio.client import AppsV1Api

        kind, name = pod.owner
        if kind == "StatefulSet":
            return Ref(Kind.STATEFULSET, name)
        if kind != "ReplicaSet":
            return None
        with _translated(f"read replicaset/{name}"):
            found = await AppsV1Api(self.client).read_namespaced_replica_set(
                name, self.namespace, **_LIMIT
            )
        for owner in found.metadata.owner_references or []:
            if owner.controller and owner.kind == "Deployment":
                return Ref(Kind.DEPLOYMENT, owner.name)
        return None

    async def pods(self, selector: str) -> list[Pod]:
        from kubernetes_asyncio.client import CoreV1Api

        with _translated("list pods"):
            found = await CoreV1Api(self.client).list_namespaced_pod(
                self.namespace, label_selector=selector, **_LIMIT
            )
        return [pod_of(one) for one in found.items]

    async def pod(self, name: str) -> Pod | None:
        from kubernetes_asyncio.client import CoreV1Api

        try:
            with _translated(f"read pod {name!r}"):
                found = await CoreV1Api(self.client).read_namespaced_pod(
                    name, self.namespace, **_LIMIT
                )
        except ProviderRefused as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return pod_of(found)

    async def annotate(self, pod: Pod, values: dict[str, str], *, unchanged: bool = False) -> None:
        """Write annotations; `unchanged`: only if nobody has changed the pod since (else 409)."""
        from kubernetes_asyncio.client import CoreV1Api

        metadata: dict[str, Any] = {"annotations": values}
        if unchanged:
            metadata["resourceVersion"] = pod.version
        with _translated(f"annotate pod {pod.name!r}"):
            await CoreV1Api(self.client).patch_namespaced_pod(
                pod.name, self.namespace, {"metadata": metadata}, **_MERGE
            )

    async def delete(self, pod: Pod, *, grace_s: float | None = None) -> None:
        """Let it end, within `grace_s` (None: its own time for that); no error when it is gone or
        another one has its name."""
        from kubernetes_asyncio.client import CoreV1Api

        body: dict[str, Any] = {"preconditions": {"uid": pod.uid}}
        if grace_s is not None:
            body["gracePeriodSeconds"] = round(grace_s)
        try:
            with _translated(f"delete pod {pod.name!r}"):
                # Its stub of types wants a model where the call takes what JSON is made of.
                given: Any = body
                await CoreV1Api(self.client).delete_namespaced_pod(
                    pod.name, self.namespace, body=given, **_LIMIT
                )
        except ProviderRefused as error:
            if error.status not in {NOT_FOUND, CONFLICT}:
                raise

    async def last_words(self, pod: Pod) -> str:
        """The end of its log, indented, of the run before this one if it was restarted; "" when
        there is none to be had."""
        from kubernetes_asyncio.client import CoreV1Api

        try:
            with _translated(f"read the log of pod {pod.name!r}"):
                text = await CoreV1Api(self.client).read_namespaced_pod_log(
                    pod.name,
                    self.namespace,
                    container=pod.container,
                    previous=pod.restarts > 0,
                    tail_lines=LAST_WORDS,
                    **_LIMIT,
                )
        except (ProviderRefused, InstanceUnavailable):
            return ""
        lines = [line for line in str(text).splitlines() if line.strip()]
        return "\n".join(f"  {line[:SHOWN]}" for line in lines)


@contextmanager
def _translated(act: str) -> Iterator[None]:
    from kubernetes_asyncio.client import ApiException

    try:
        yield
    except ApiException as error:
        raise ProviderRefused(
            f"Kubernetes would not {act}: {_said(error)}",
            status=error.status or 0,
            hint="give Godel the role of docs/how-to/docker-and-kubernetes.md"
            if error.status in {401, 403}
            else None,
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise InstanceUnavailable(
            f"cannot {act}: {said}", hint="is the cluster's API reachable from here?"
        ) from error


def _said(error: Any) -> str:
    """The message of a `Status` answer, else what HTTP has."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
