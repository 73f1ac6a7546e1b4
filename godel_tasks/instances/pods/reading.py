"""kubernetes-asyncio's models, as values of ours."""

from __future__ import annotations

from typing import Any

from godel_tasks.instances.pods.values import POOL, Pod, Ref, Workload, hopeless


def workload_of(ref: Ref, found: Any) -> Workload:
    """From a `V1StatefulSet` or `V1Deployment`."""
    spec = found.spec
    ordinals = getattr(spec, "ordinals", None)
    return Workload(
        ref=ref,
        # Left out, it is one.
        replicas=1 if spec.replicas is None else spec.replicas,
        version=found.metadata.resource_version,
        selector=_selector(spec.selector),
        pool=(spec.template.metadata.labels or {}).get(POOL, ""),
        first=(ordinals.start or 0) if ordinals else 0,
    )


def _selector(selector: Any) -> str:
    parts = [f"{name}={value}" for name, value in (selector.match_labels or {}).items()]
    for one in selector.match_expressions or []:
        values = ",".join(one.values or [])
        parts.append(
            {
                "In": f"{one.key} in ({values})",
                "NotIn": f"{one.key} notin ({values})",
                "Exists": one.key,
                "DoesNotExist": f"!{one.key}",
            }[one.operator]
        )
    return ",".join(parts)


def pod_of(found: Any) -> Pod:
    """From a `V1Pod`."""
    metadata, status, spec = found.metadata, found.status, found.spec
    owner = next((one for one in metadata.owner_references or [] if one.controller), None)
    conditions = {one.type: one for one in status.conditions or []}
    ready = conditions.get("Ready")
    containers = [*(status.init_container_statuses or []), *(status.container_statuses or [])]
    waiting = [one.state.waiting for one in containers if one.state and one.state.waiting]
    problems = [hopeless(one.reason or "", one.message or "") for one in waiting]
    if status.phase in {"Failed", "Succeeded"}:
        problems.append(f"{status.reason or status.phase}: {status.message or ''}".rstrip(": "))
    scheduled = conditions.get("PodScheduled")
    unscheduled = scheduled.message if scheduled and scheduled.status == "False" else ""
    return Pod(
        name=metadata.name,
        uid=metadata.uid,
        version=metadata.resource_version,
        pool=(metadata.labels or {}).get(POOL, ""),
        phase=status.phase or "Pending",
        ready=bool(ready and ready.status == "True"),
        leaving=metadata.deletion_timestamp is not None,
        ip=status.pod_ip or "",
        grace_s=float(spec.termination_grace_period_seconds or 0),
        restarts=sum(one.restart_count or 0 for one in status.container_statuses or []),
        container=spec.containers[0].name,
        annotations=dict(metadata.annotations or {}),
        owner=(owner.kind, owner.name) if owner else ("", ""),
        problem=next(filter(None, problems), ""),
        waits=unscheduled or next((one.reason for one in waiting if one.reason), ""),
    )
