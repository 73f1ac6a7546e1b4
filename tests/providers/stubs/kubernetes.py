"""A Kubernetes API without a cluster. Its controllers do what the real ones do about pods: they
act a moment after a change, choose who goes as `ActivePodsWithRanks` does for a Deployment, and
from the end for a StatefulSet. Time passes when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.providers.stubs.pods import (
    INSTANCE,
    NAMESPACE,
    Behaviour,
    Pod,
    Workload,
    owner_of,
    pod_as_data,
)
from tests.providers.stubs.server import Answer, Request, Stub, Verbs

_PODS = "/api/v1/namespaces/{namespace}/pods"
_APPS = "/apis/apps/v1/namespaces/{namespace}"


class KubernetesStub(Stub):
    """One namespace. `workloads` are what an operator has applied."""

    errors_described = False

    def __init__(self) -> None:
        super().__init__("kubernetes")
        self.workloads: dict[tuple[str, str], Workload] = {}
        self.pods: dict[str, Pod] = {}
        #: How long controllers take to see a change.
        self.lag_s = 0.02
        #: Operations that this account may not do.
        self.forbidden: set[str] = set()
        #: Called before a scale is judged: somebody else may be faster.
        self.before_scale: Callable[[], None] = lambda: None
        self._version = 100
        self._made = 0

    def apply(
        self,
        kind: str,
        name: str,
        replicas: int,
        behaviour: Behaviour,
        *,
        pool: str = "agents",
        first: int = 0,
    ) -> Workload:
        made = Workload(kind, name, replicas, pool, behaviour, first, self._next())
        made.replicaset = f"{name}-6f9c" if kind == "deployment" else ""
        self.workloads[kind, name] = made
        return made

    def scale(self, workload: Workload, replicas: int) -> None:
        """As kubectl would."""
        workload.replicas, workload.changed_at = replicas, time.monotonic()
        workload.version = self._next()

    def settled(self) -> bool:
        """Whether the controllers have nothing left to do."""
        self._settle()
        there = [pod for pod in self.pods.values() if pod.active]
        return len(there) == sum(one.replicas for one in self.workloads.values()) and all(
            pod.gone_at is None for pod in self.pods.values()
        )

    def refusal(self, status: int, message: str) -> Answer:
        reasons = {403: "Forbidden", 404: "NotFound", 409: "Conflict"}
        return Answer(
            status,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": message,
                "reason": reasons.get(status, "BadRequest"),
                "code": status,
            },
        )

    def verbs(self) -> Verbs:
        verbs: dict[str, Any] = {
            f"GET {_PODS}": self._list,
            f"GET {_PODS}/{{name}}": self._read,
            f"PATCH {_PODS}/{{name}}": self._annotate,
            f"DELETE {_PODS}/{{name}}": self._delete,
            f"GET {_PODS}/{{name}}/log": self._log,
            f"GET {_APPS}/replicasets/{{name}}": self._replicaset,
        }
        for kind in ("deployment", "statefulset"):
            path = f"{_APPS}/{kind}s/{{name}}"
            verbs[f"GET {path}"] = self._workload
            verbs[f"PATCH {path}/scale"] = self._scale
        return {name: self._guarded(name, verb) for name, verb in verbs.items()}

    # ---------------------------------------------------------------------- controllers

    def _next(self) -> int:
        self._version += 1
        return self._version

    def _settle(self) -> None:
        now = time.monotonic()
        for pod in list(self.pods.values()):
            if pod.gone_at is not None and now >= pod.gone_at:
                del self.pods[pod.name]
                pod.workload.changed_at = now
            elif pod.seen != (pod.phase, pod.ready):
                pod.seen, pod.version = (pod.phase, pod.ready), self._next()
        for workload in self.workloads.values():
            if now >= workload.changed_at + self.lag_s:
                control = self._ordered if workload.kind == "statefulset" else self._replicated
                control(workload)

    def _of(self, workload: Workload) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.workload is workload]

    def _replicated(self, workload: Workload) -> None:
        active = [pod for pod in self._of(workload) if pod.active]
        for _ in range(workload.replicas - len(active)):
            self._made += 1
            self._make(workload, f"{workload.replicaset}-x{self._made:04}")
        for pod in sorted(active, key=Pod.goes_before)[: max(len(active) - workload.replicas, 0)]:
            self._let_go(pod, pod.behaviour.grace_s)

    def _ordered(self, workload: Workload) -> None:
        numbers = range(workload.first, workload.first + workload.replicas)
        wanted = [f"{workload.name}-{number}" for number in numbers]
        for pod in self._of(workload):
            if pod.name not in wanted and pod.gone_at is None:
                self._let_go(pod, pod.behaviour.grace_s)
        for name in wanted:
            if name not in self.pods:
                self._make(workload, name)

    def _make(self, workload: Workload, name: str) -> None:
        self.pods[name] = Pod(name, workload, workload.behaviour, self._next())

    def _let_go(self, pod: Pod, grace_s: int) -> None:
        takes = pod.behaviour.ends_after_s if pod.phase == "Running" else 0.0
        pod.killed = takes > grace_s
        ends = time.monotonic() + min(takes, grace_s)
        pod.gone_at = ends if pod.gone_at is None else min(pod.gone_at, ends)
        pod.version = self._next()

    # ----------------------------------------------------------------------------- verbs

    def _guarded(self, name: str, verb: Any) -> Any:
        async def guarded(request: Request) -> Answer:
            if request.values["namespace"] != NAMESPACE:
                return self.refusal(403, "this account belongs to another namespace")
            if name in self.forbidden:
                return self.refusal(403, f"this account may not {name}")
            self._settle()
            answer: Answer = await verb(request)
            return answer

        return guarded

    async def _list(self, request: Request) -> Answer:
        wanted = [part.partition("=") for part in request.query["labelSelector"].split(",")]
        found = [
            pod_as_data(pod)
            for pod in self.pods.values()
            if all(
                name in pod.labels and (not equals or pod.labels[name] == value)
                for name, equals, value in wanted
            )
        ]
        version = {"resourceVersion": str(self._version)}
        return Answer(
            200, {"kind": "PodList", "apiVersion": "v1", "metadata": version, "items": found}
        )

    async def _read(self, request: Request) -> Answer:
        pod = self.pods.get(request.values["name"])
        return Answer(200, pod_as_data(pod)) if pod else self._none(request)

    async def _annotate(self, request: Request) -> Answer:
        pod = self.pods.get(request.values["name"])
        if pod is None:
            return self._none(request)
        given = request.body["metadata"]
        if given.get("resourceVersion", str(pod.version)) != str(pod.version):
            return self.refusal(409, "the object has been modified")
        pod.annotations.update(given["annotations"])
        pod.version = self._next()
        if INSTANCE in given["annotations"]:
            pod.told_at = time.monotonic()
        return Answer(200, pod_as_data(pod))

    async def _delete(self, request: Request) -> Answer:
        pod = self.pods.get(request.values["name"])
        if pod is None:
            return self._none(request)
        options = request.body or {}
        if options.get("preconditions", {}).get("uid", pod.uid) != pod.uid:
            return self.refusal(409, "the UID in the precondition does not match")
        self._let_go(pod, options.get("gracePeriodSeconds", pod.behaviour.grace_s))
        return Answer(200, pod_as_data(pod))

    async def _log(self, request: Request) -> Answer:
        pod = self.pods.get(request.values["name"])
        if pod is None:
            return self._none(request)
        if request.query.get("previous") and not pod.behaviour.restarts:
            return self.refusal(400, "previous terminated container not found")
        lines = pod.behaviour.says[-request.query.get("tailLines", 1000) :]
        return Answer(200, "".join(f"{line}\n" for line in lines).encode(), "text/plain")

    async def _replicaset(self, request: Request) -> Answer:
        for one in self.workloads.values():
            if one.replicaset == request.values["name"]:
                owner = owner_of("Deployment", one.name)
                metadata = {"name": one.replicaset, "ownerReferences": [owner]}
                spec = {"selector": {"matchLabels": {"app": one.name}}}
                return Answer(200, {"metadata": metadata, "spec": spec})
        return self._none(request)

    def _found(self, request: Request) -> Workload | None:
        kind = "statefulset" if "/statefulsets/" in request.operation.template else "deployment"
        return self.workloads.get((kind, request.values["name"]))

    async def _workload(self, request: Request) -> Answer:
        one = self._found(request)
        if one is None:
            return self._none(request)
        labels = {"app": one.name, **({"godel.dev/pool": one.pool} if one.pool else {})}
        containers = [{"name": "agent", "image": "agents:1"}]
        spec: dict[str, Any] = {
            "replicas": one.replicas,
            "selector": {"matchLabels": {"app": one.name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        }
        if one.kind == "statefulset":
            spec["serviceName"] = one.name
            if one.first:
                spec["ordinals"] = {"start": one.first}
        metadata = {"name": one.name, "resourceVersion": str(one.version)}
        return Answer(200, {"metadata": metadata, "spec": spec})

    async def _scale(self, request: Request) -> Answer:
        self.before_scale()
        one = self._found(request)
        if one is None:
            return self._none(request)
        version = request.body.get("metadata", {}).get("resourceVersion", str(one.version))
        if version != str(one.version):
            return self.refusal(409, "the object has been modified")
        self.scale(one, request.body["spec"]["replicas"])
        metadata = {"name": one.name, "resourceVersion": str(one.version)}
        spec, status = {"replicas": one.replicas}, {"replicas": len(self._of(one))}
        return Answer(200, {"metadata": metadata, "spec": spec, "status": status})

    def _none(self, request: Request) -> Answer:
        return self.refusal(404, f"{request.values['name']!r} not found")
