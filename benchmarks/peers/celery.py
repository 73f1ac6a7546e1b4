"""Celery: `celery worker`, results in Redis, `acks_late`."""

from __future__ import annotations

import dataclasses

from benchmarks.common import celery_worker
from benchmarks.peers.peer import GodelsPythonPeer, Look, Settings
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec


class CeleryPeer(GodelsPythonPeer):
    name = "celery"
    share = 0.5
    variants = (
        {"workers": 2, "pool": "solo", "concurrency": 1, "prefetch_multiplier": 128},
        {"workers": 2, "pool": "solo", "concurrency": 1, "prefetch_multiplier": 4},
        {"workers": 2, "pool": "solo", "concurrency": 1, "prefetch_multiplier": 1000},
        {"workers": 3, "pool": "solo", "concurrency": 1, "prefetch_multiplier": 128},
        {"workers": 1, "pool": "prefork", "concurrency": 2, "prefetch_multiplier": 128},
        {"workers": 1, "pool": "prefork", "concurrency": 2, "prefetch_multiplier": 4},
        {"workers": 2, "pool": "threads", "concurrency": 4, "prefetch_multiplier": 128},
    )
    fixed = "task_acks_late, results kept, no gossip, mingle or heartbeat, hiredis"
    note = "One queue without tenants; visibility timeout of an hour; results also published."

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        flags = (
            *("--without-heartbeat", "--loglevel", "WARNING"),
            *("--pool", settings["pool"], "--concurrency", str(settings["concurrency"])),
        )
        specs = [
            celery_worker(
                server,
                "benchmarks.peers.apps.celery_app",
                f"celery{n + 1}",
                *flags,
                env=self.environment(server, settings),
            )
            for n in range(settings["workers"])
        ]
        # Asking whether it is ready would take longer than the first tasks.
        return [dataclasses.replace(spec, ready=None, role="celery") for spec in specs]

    def begun(self, look: Look) -> bool:
        return int(look.queue.llen("celery")) < look.tasks

    def left(self, look: Look) -> int:
        return int(look.queue.llen("celery")) + int(look.queue.hlen("unacked"))
