"""Workloads and pods as the provider sees them. Frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

#: The label of a workload's pods, in its manifest, that hands them over to Godel.
POOL = "godel.dev/pool"
#: An annotation: which instance a pod was made to be. The pod of a Deployment that has none yet
#: waits for one.
INSTANCE = "godel.dev/instance"
#: An annotation: its `InstanceConfig` as JSON, if it does not register by itself; its endpoint may
#: have {ip} and {pod} in it, which stand for the pod's own.
CONFIG = "godel.dev/config"
#: Kubernetes' own: of ready pods the one with the lowest goes first.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
LOWEST_COST = str(-(2**31))

#: Reasons of a waiting container that waiting longer seldom cures.
_HOPELESS = frozenset(
    {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CrashLoopBackOff"}
    | {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


class Kind(StrEnum):
    """What kinds of workload a pool may be."""

    STATEFULSET = "statefulset"
    DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True)
class Ref:
    """Which workload, in the provider's namespace."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    def ordinal(self, pod_name: str) -> int | None:
        """The number in the name of a StatefulSet's pod; None if it is not one of its names."""
        stem, _, number = pod_name.rpartition("-")
        legal = stem == self.name and number.isascii() and number.isdigit()
        return int(number) if legal and str(int(number)) == number else None


@dataclass(frozen=True, slots=True)
class Workload:
    """A StatefulSet or Deployment as it was at `version`."""

    ref: Ref
    replicas: int
    version: str
    selector: str
    #: The pool that its pods belong to; "" if its pods have no such label.
    pool: str
    #: The number of a StatefulSet's first pod.
    first: int = 0

    @property
    def end(self) -> int:
        """The number that a StatefulSet's next pod gets."""
        return self.first + self.replicas


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as it was at `version`."""

    name: str
    uid: str
    version: str
    pool: str = ""
    phase: str = "Pending"
    ready: bool = False
    leaving: bool = False
    ip: str = ""
    #: Seconds that it has for ending.
    grace_s: float = 30.0
    restarts: int = 0
    container: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    #: What controls it, as Kubernetes has it: ("StatefulSet", name) or ("ReplicaSet", name).
    owner: tuple[str, str] = ("", "")
    #: Why it will hardly come up; "" while it may.
    problem: str = ""
    #: Why it is still waited for, in the cluster's words.
    waits: str = ""

    @property
    def instance_id(self) -> str:
        """ "" for the pod of a Deployment that is no instance yet."""
        if self.owner[0] == "StatefulSet":
            return self.name
        return self.annotations.get(INSTANCE, "")

    @property
    def made(self) -> bool:
        """Whether Godel made it an instance; a StatefulSet may have had pods before."""
        return INSTANCE in self.annotations

    @property
    def counts(self) -> bool:
        """Whether its controller counts it: not one that leaves, or has ended for good."""
        return not self.leaving and self.phase not in {"Failed", "Succeeded"}

    @property
    def stays(self) -> bool:
        """Whether it counts and nobody has chosen it to go."""
        return self.counts and self.annotations.get(DELETION_COST) != LOWEST_COST


def hopeless(reason: str, message: str) -> str:
    """The problem of a container that waits for this reason; "" if it may pass."""
    return f"{reason}: {message}".rstrip(": ") if reason in _HOPELESS else ""
