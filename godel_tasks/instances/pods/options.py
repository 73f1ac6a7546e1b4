"""What a template of provider `kubernetes` says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.pods.values import Kind, Ref
from godel_tasks.instances.providers.described import driver_problems
from godel_tasks.instances.providers.options import ENV, Options

PROVIDER = "kubernetes"
KNOWN = frozenset({"workload", "ready_s", "endpoint", "credentials"})
#: A node may have to be added first, and an image to be pulled.
READY_S = 300.0
#: A name as Kubernetes has it.
_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class PodOptions:
    """A template's options, checked."""

    workload: Ref
    ready_s: float
    endpoint: str
    credentials: str


def read(template: InstanceTemplate) -> PodOptions:
    """Raises: InvalidPool with every problem there is."""
    options = Options(template, KNOWN)
    given = options.text("workload")
    match = re.fullmatch(rf"(statefulset|deployment)/({_NAME})", given)
    if not match:
        options.problems.append(
            f"workload: expected statefulset/NAME or deployment/NAME, got {given!r}"
        )
    for name in template.options:
        if name.startswith(ENV):
            options.problems.append(
                f"{name}: a pod's environment is that of its workload; write it into the manifest"
            )
    endpoint = options.text("endpoint")
    found = PodOptions(
        workload=Ref(Kind(match[1]), match[2]) if match else Ref(Kind.DEPLOYMENT, ""),
        ready_s=options.number("ready_s", READY_S, least=0.1),
        endpoint=endpoint,
        credentials=options.text("credentials"),
    )
    options.problems += driver_problems(template, endpoint)
    options.done()
    return found
