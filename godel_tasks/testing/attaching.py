"""The default app, attached to another runtime for a while, and put back as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu import pools

from godel_tasks.celery import GodelCelery, make_app
from godel_tasks.runtime import Runtime
from godel_tasks.tasks import SUBMIT_TASK

#: What a Celery app keeps of its configuration, its connections and its result backend.
_KEPT = ("godel", "_conf", "configured", "_pool", "amqp", "_backend_cache", "_local")


@contextmanager
def attached(app: GodelCelery, runtime: Runtime) -> Iterator[None]:
    """Everything that goes through `app` goes to the runtime's servers.

    The app is given the configuration of a new one. Its own is not looked at (that alone would make
    an app read its settings once and for all), but for what was set on `app.conf` by hand.
    """
    other = make_app("godel_tasks.testing")
    other.godel = runtime
    other.conf.update({**_set_by_hand(app), **other.server_settings()})
    kept = dict(vars(app))
    _put(app, {"godel": runtime, "_conf": other.conf, "configured": True, "_pool": None,
               "_backend_cache": None, "_local": threading.local()})  # fmt: skip
    # Not before: an app that is asked for a task reads its configuration.
    task, fresh = app.tasks[SUBMIT_TASK], other.tasks[SUBMIT_TASK]
    task_kept = dict(vars(task))
    for name in task_kept.keys() - vars(fresh).keys():
        del vars(task)[name]  # what it has cached of its runtime
    try:
        yield
    finally:
        _close(app)
        _put(app, {name: kept[name] for name in _KEPT if name in kept})
        vars(task).clear()
        vars(task).update(task_kept)
        other.close()


def _set_by_hand(app: Celery) -> dict[str, Any]:
    state = vars(app)
    if state["configured"]:
        return dict(state["_conf"].changes)
    return dict(state["_preconf"])


def _put(app: Celery, values: dict[str, Any]) -> None:
    state = vars(app)
    for name in _KEPT:
        state.pop(name, None)
    state.update(values)


def _close(app: Celery) -> None:
    """Whatever connections it has opened meanwhile."""
    state = vars(app)
    amqp = state.get("amqp")
    for group, pool in ((pools.producers, amqp and vars(amqp).get("_producer_pool")),
                        (pools.connections, state["_pool"])):  # fmt: skip
        if pool is not None:
            pool.force_close_all()
            # kombu would hand the closed one to whoever asks for the same address again.
            for key in [key for key, known in group.items() if known is pool]:
                group.pop(key)
    backend = state["_backend_cache"] or getattr(state["_local"], "backend", None)
    if backend is not None and hasattr(backend, "result_consumer"):
        backend.result_consumer.stop()
        backend.client.connection_pool.disconnect()
