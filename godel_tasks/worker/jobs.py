"""Control jobs: ordinary Celery tasks, driven by beat, for what no dispatcher has to be up for.

Dispatchers do most of this by themselves; the jobs are there for when none runs: results that wait
in an outbox are published, late tasks expire, lanes are swept, dead instances are forgotten. Two
are the control plane's own: `tend` looks after the instances that Godel made (fleet/tending.py),
and `scale` changes how many there are (worker/scaling.py).
Tasks that a dead dispatcher held are taken over by the next dispatcher, not here: a job has no
connection to instances, and could only guess whether they still run.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from celery import Celery

from godel_tasks.canvas.following import Follower
from godel_tasks.dispatch.outcome import Outcome, celery_meta, decode_outcome
from godel_tasks.dispatch.telling import tell_published
from godel_tasks.errors import UnknownDriver
from godel_tasks.events import EventBus
from godel_tasks.instances.drivers import driver_named
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.store.command import call
from godel_tasks.store.keys import SHARED_OUTBOX, result_key
from godel_tasks.store.registry import record_of
from godel_tasks.worker.probing import ProbeJob
from godel_tasks.worker.scaling import scale

log = structlog.get_logger("godel.control")

QUEUE = "godel.control"
#: The name under which jobs own outbox entries.
PUBLISHER = "control"
#: Seconds that the hash of a dead instance is kept for people to look at.
DEAD_INSTANCE_KEPT_S = 3600
#: Seconds that dead letters are kept.
DEAD_LETTERS_KEPT_S = 7 * 86400
#: Job and seconds between its runs.
EVERY_S = {
    "reap": 1.0,
    "due": 1.0,
    "sweep": 30.0,
    "forget": 60.0,
    "sessions": 10.0,
    "tend": 2.0,
    "scale": 2.0,
    "probe": 1.0,
}

#: A run that takes longer than a second is not to be done by the next one as well.
_following = threading.Lock()


def schedule() -> dict[str, dict[str, Any]]:
    """Beat's schedule. A run that was not started before the next one is due is dropped."""
    return {
        f"godel-{job}": {
            "task": f"godel.control.{job}",
            "schedule": seconds,
            "options": {"queue": QUEUE, "expires": max(2.0, seconds), "ignore_result": True},
        }
        for job, seconds in EVERY_S.items()
    }


def reap(runtime: Runtime, bus: EventBus | None = None, follower: Follower | None = None) -> int:
    """Publish what dead dispatchers, and tasks that no dispatcher settled, left in outboxes; `bus`
    is told, and `follower` does what follows."""
    published = 0
    for cell in runtime.cells:
        sources = [SHARED_OUTBOX, PUBLISHER]
        leases = runtime.store.run(cell.lookup.dispatchers())
        fleet = runtime.store.run(runtime.registry.fleet())
        sources += [name for name, end in leases.items() if end <= fleet.now_ms]
        for source in sources:
            published += _publish(runtime, cell, source, bus or EventBus(), follower)
    return published


def _publish(
    runtime: Runtime, cell: Any, source: str, bus: EventBus, follower: Follower | None
) -> int:
    """Take a source's entries over, publish them, and only then drop them. Two jobs at once do the
    same work twice, with the same bytes."""
    if source != PUBLISHER:
        runtime.store.run(
            cell.leases.take_outbox(dispatcher=PUBLISHER, source=source, leased=False)
        )
    entries = runtime.store.run(cell.leases.own_outbox(dispatcher=PUBLISHER))
    if not entries:
        return 0
    outcomes = {task_id: decode_outcome(entry) for task_id, entry in entries.items()}
    followed = [task_id for task_id, o in outcomes.items() if o.followed]
    canvas = runtime.store.run(cell.leases.canvas(task_ids=followed)) if followed else {}
    wanted = {task_id: o for task_id, o in outcomes.items() if not o.ignore_result}
    if wanted:
        expires_s = int(runtime.settings.result_expires_s)
        metas = [celery_meta(i, outcome, canvas.get(i, b"")) for i, outcome in wanted.items()]
        keys = [result_key(task_id) for task_id in wanted]
        runtime.results.run(call("publish", keys=keys, args=[expires_s, *metas], decode=int))
    waits = _follow(follower, outcomes, canvas)
    done = {task_id: outcome for task_id, outcome in outcomes.items() if task_id not in waits}
    if not done:
        return 0
    commands = [cell.leases.acknowledge_outbox(dispatcher=PUBLISHER, task_ids=list(done))]
    if canvas.keys() - waits:
        commands.insert(0, cell.leases.forget_canvas(task_ids=list(canvas.keys() - waits)))
    runtime.store.pipeline(commands)
    tell_published(bus, done, time.time())
    return len(done)


def _follow(
    follower: Follower | None, outcomes: Mapping[str, Outcome], canvas: Mapping[str, bytes]
) -> set[str]:
    """Do what follows; the tasks whose followers have to wait for the next run."""
    if not canvas:
        return set()
    if follower is None or not _following.acquire(blocking=False):
        return set(canvas)
    try:
        return {i for i, what in canvas.items() if not follower.follow(i, outcomes[i], what)}
    finally:
        _following.release()


def due(runtime: Runtime) -> int:
    """Promote, expire and end holds, as dispatchers do."""
    return sum(runtime.store.run(cell.queue.due())[0] for cell in runtime.cells)


def sweep(runtime: Runtime) -> int:
    """Remove tombstones from lanes."""
    return sum(runtime.store.run(cell.queue.sweep()) for cell in runtime.cells)


def sessions(runtime: Runtime) -> int:
    """Forget sessions that were idle for their time, and finish what was begun of ending others."""
    handled = 0
    for cell in runtime.cells:
        idle = runtime.store.run(cell.sessions.idle())
        handled += idle.forgotten
        for name, who in idle.unfinished.items():
            handled += runtime.store.run(cell.sessions.end(name=name, who=who)).cancelled
    return handled


def forget(runtime: Runtime) -> int:
    """Drop instances that have been dead for an hour, and dead letters past their time."""
    fleet = runtime.store.run(runtime.registry.fleet())
    dropped = 0
    for instance_id, end in fleet.leases.items():
        if fleet.now_ms - end > DEAD_INSTANCE_KEPT_S * 1000 and not _is_attended(
            runtime, instance_id
        ):
            departed = runtime.registry.depart(
                instance_id=instance_id, reason="it has been dead for an hour"
            )
            runtime.store.run(departed)
            runtime.store.run(runtime.registry.forget(instance_id=instance_id))
            dropped += 1
    _repair_index(runtime, fleet.leases)
    before = fleet.now_ms - DEAD_LETTERS_KEPT_S * 1000
    for cell in runtime.cells:
        dropped += runtime.store.run(cell.queue.cut_dead_letters(before_ms=before))
    return dropped


def tend(runtime: Runtime) -> int:
    """Adopt, finish, undo and replace what was made for pools."""
    from godel_tasks.fleet.tending import tend_once

    return len(asyncio.run(tend_once(runtime)))


def _repair_index(runtime: Runtime, instance_ids: Iterable[str]) -> None:
    """What was killed between an instance's hash and its place in the registry's index."""
    registry, names = runtime.registry, list(instance_ids)
    found = runtime.store.pipeline([registry.fields(instance_id=name) for name in names])
    records = [
        record_of(name, fields, 0)
        for name, fields in zip(names, found, strict=True)
        if "generation" in fields
    ]
    runtime.store.pipeline([registry.relabel(r.config, generation=r.generation) for r in records])


def _is_attended(runtime: Runtime, instance_id: str) -> bool:
    """It did not register itself, so it does not come back by itself: a person added it, and a
    person removes it."""
    fields = runtime.store.run(runtime.registry.fields(instance_id=instance_id))
    try:
        return not driver_named(fields.get("driver", "")).self_registering
    except UnknownDriver:
        return False


def register_jobs(app: Celery, bus: EventBus) -> None:
    """Make the jobs known to an app, lazily; `bus` is told of what they do."""
    reap_and_follow = partial(reap, bus=bus, follower=Follower(app))
    jobs: dict[str, Callable[[Runtime], int]] = {
        "reap": reap_and_follow,
        "due": due,
        "sweep": sweep,
        "forget": forget,
        "sessions": sessions,
        "tend": tend,
        "scale": scale,
        "probe": ProbeJob(),
    }
    for word, job in jobs.items():
        name = f"godel.control.{word}"

        def run(self: Any, job: Any = job) -> int:
            count: int = job(runtime_of(self.app))
            if count:
                log.info(self.name, handled=count)
            return count

        app.task(bind=True, name=name, ignore_result=True, acks_late=True, shared=False)(run)
