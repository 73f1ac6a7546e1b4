"""Dramatiq: its command line, Redis broker, results middleware with its Redis backend."""

from __future__ import annotations

import dataclasses

from benchmarks.peers import install
from benchmarks.peers.peer import Look, PythonPeer, Settings
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec


class DramatiqPeer(PythonPeer):
    name = "dramatiq"
    variants = (
        {"processes": 2, "threads": 2, "queue_prefetch": 1000},
        {"processes": 2, "threads": 2, "queue_prefetch": 100},
        {"processes": 2, "threads": 4, "queue_prefetch": 100},
        {"processes": 2, "threads": 1, "queue_prefetch": 100},
        {"processes": 2, "threads": 8, "queue_prefetch": 1000},
        {"processes": 2, "threads": 8, "queue_prefetch": 0},
    )
    fixed = "default middleware and Results(RedisBackend), store_results, hiredis"
    note = "One queue without tenants; always acknowledges after the run; results for 10 minutes."

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        command = (
            *(install.command(self.name, "dramatiq"), "benchmarks.peers.apps.dramatiq_app"),
            *("--processes", str(settings["processes"]), "--threads", str(settings["threads"])),
        )
        spec = self.process(1, command, server, settings)
        prefetch = {"dramatiq_queue_prefetch": str(settings["queue_prefetch"])}  # 0: its default
        return [dataclasses.replace(spec, env={**spec.env, **prefetch})]

    def begun(self, look: Look) -> bool:
        return int(look.queue.llen("dramatiq:default")) < look.tasks

    def left(self, look: Look) -> int:
        # A message stays in this hash until it is acknowledged.
        return int(look.queue.hlen("dramatiq:default.msgs"))
