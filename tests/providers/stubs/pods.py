"""Pods and workloads of the stub, and how the API describes them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

COST = "controller.kubernetes.io/pod-deletion-cost"
INSTANCE = "godel.dev/instance"
NAMESPACE = "agents"
CREATED = "2026-11-25T12:00:00Z"


@dataclass
class Behaviour:
    """What becomes of a pod."""

    runs_after_s: float = 0.02
    #: After it runs and, with `waits_for_id`, was told who it is. None: never.
    ready_after_s: float | None = 0.02
    waits_for_id: bool = False
    #: Its container waits for this reason, with this message, instead of running.
    stuck: tuple[str, str] = ("", "")
    unschedulable: str = ""
    says: tuple[str, ...] = ()
    restarts: int = 0
    ends_after_s: float = 0.02
    grace_s: int = 5
    phase: str = ""


@dataclass
class Workload:
    """A StatefulSet, or a Deployment with its ReplicaSet."""

    kind: str
    name: str
    replicas: int
    pool: str
    behaviour: Behaviour
    first: int = 0
    version: int = 1
    changed_at: float = 0.0
    replicaset: str = ""


@dataclass
class Pod:
    """A pod; its behaviour is the workload's at the time it was made."""

    name: str
    workload: Workload
    behaviour: Behaviour
    version: int
    uid: str = field(default_factory=lambda: str(uuid4()))
    made_at: float = field(default_factory=time.monotonic)
    annotations: dict[str, str] = field(default_factory=dict)
    told_at: float = 0.0
    gone_at: float | None = None
    killed: bool = False
    seen: tuple[str, bool] = ("Pending", False)

    @property
    def labels(self) -> dict[str, str]:
        labels = {"app": self.workload.name}
        return {**labels, "godel.dev/pool": self.workload.pool} if self.workload.pool else labels

    @property
    def phase(self) -> str:
        if self.behaviour.phase:
            return self.behaviour.phase
        stuck = self.behaviour.stuck[0] or self.behaviour.unschedulable
        runs = not stuck and time.monotonic() >= self.made_at + self.behaviour.runs_after_s
        return "Running" if runs else "Pending"

    @property
    def ready(self) -> bool:
        after_s = self.behaviour.ready_after_s
        if self.phase != "Running" or after_s is None:
            return False
        since = self.made_at + self.behaviour.runs_after_s
        if self.behaviour.waits_for_id:
            if INSTANCE not in self.annotations:
                return False
            since = max(since, self.told_at)
        return time.monotonic() >= since + after_s

    @property
    def active(self) -> bool:
        return self.gone_at is None and self.phase not in {"Failed", "Succeeded"}

    def goes_before(self) -> tuple[Any, ...]:
        """The order in which a ReplicaSet lets pods go."""
        phases = {"Pending": 0, "Running": 2}
        return (phases[self.phase], self.ready, int(self.annotations.get(COST, 0)), -self.made_at)


def owner_of(kind: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "name": name,
        "uid": f"uid-of-{name}",
        "controller": True,
    }


def pod_as_data(pod: Pod) -> dict[str, Any]:
    workload, behaviour = pod.workload, pod.behaviour
    kind = "StatefulSet" if workload.kind == "statefulset" else "ReplicaSet"
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": NAMESPACE,
        "uid": pod.uid,
        "resourceVersion": str(pod.version),
        "creationTimestamp": CREATED,
        "labels": pod.labels,
        "annotations": pod.annotations,
        "ownerReferences": [owner_of(kind, workload.replicaset or workload.name)],
    }
    if pod.gone_at is not None:
        metadata["deletionTimestamp"] = CREATED
    reason, message = behaviour.stuck
    state: dict[str, Any] = {"running": {"startedAt": CREATED}}
    if pod.phase != "Running":
        state = {"waiting": {"reason": reason or "ContainerCreating", "message": message}}
    conditions = [
        {"type": "Ready", "status": "True" if pod.ready else "False"},
        {
            "type": "PodScheduled",
            "status": "False" if behaviour.unschedulable else "True",
            "message": behaviour.unschedulable,
        },
    ]
    container = {
        "name": "agent",
        "image": "agents:1",
        "imageID": "",
        "ready": pod.ready,
        "restartCount": behaviour.restarts,
        "state": state,
    }
    return {
        "metadata": metadata,
        "spec": {
            "containers": [{"name": "agent", "image": "agents:1"}],
            "terminationGracePeriodSeconds": behaviour.grace_s,
        },
        "status": {
            "phase": pod.phase,
            "podIP": "10.0.0.7" if pod.phase == "Running" else "",
            "conditions": conditions,
            "containerStatuses": [container],
        },
    }
