"""`control` commands of Godel's own: drain an instance, pause a dispatcher."""

from __future__ import annotations

from typing import Any

from godel_tasks.runtime import Runtime
from godel_tasks.views.instances import instance_named
from godel_tasks.worker.remote import Remote


def godel_drain(remote: Remote, state: Any, instance: str, **_: Any) -> Any:  # noqa: ARG001
    """Drain an instance: it finishes what it runs and gets nothing new."""
    return remote.ask(lambda: _set_draining(remote.runtime, instance, draining=True))


def godel_undrain(remote: Remote, state: Any, instance: str, **_: Any) -> Any:  # noqa: ARG001
    """Take a drained instance back."""
    return remote.ask(lambda: _set_draining(remote.runtime, instance, draining=False))


def _set_draining(runtime: Runtime, instance_id: str, *, draining: bool) -> dict[str, str]:
    instance_named(runtime, instance_id)  # raises UnknownInstance, with the nearest name
    registry = runtime.registry
    runtime.store.pipeline(
        [
            registry.change(instance_id=instance_id, draining=draining),
            registry.tell(instance_id=instance_id, event="instance.changed"),
        ]
    )
    view = instance_named(runtime, instance_id)
    return {"ok": f"instance {instance_id} is {view.status.value}, {view.slots_used} slots used"}


def godel_pause(remote: Remote, state: Any, **_: Any) -> Any:  # noqa: ARG001
    """Claim nothing new in this dispatcher. What it holds goes on."""
    if remote.dispatch is None:
        return {"ok": "nothing to pause: this worker does not dispatch"}
    remote.dispatch.pause()
    return {"ok": _paused(remote)}


def godel_resume(remote: Remote, state: Any, **_: Any) -> Any:  # noqa: ARG001
    """Claim again."""
    if remote.dispatch is None:
        return {"ok": "nothing to resume: this worker does not dispatch"}
    remote.dispatch.resume()
    return {"ok": _paused(remote)}


def _paused(remote: Remote) -> str:
    view = remote.view()
    return (
        f"{view.state}, {len(view.attempts)} tasks held" if view else "there is no dispatcher yet"
    )
