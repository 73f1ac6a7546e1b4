"""Godel: dispatchers, and `grpc` instances in processes of their own."""

from __future__ import annotations

import dataclasses

from benchmarks.common import celery_worker
from benchmarks.peers.peer import GodelsPythonPeer, Look, Settings
from benchmarks.world import instance_spec, spread
from godel_tasks.domain.tenant import TenantStatus
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.supervisor.spec import ProcessSpec


class GodelPeer(GodelsPythonPeer):
    name = "godel"
    share = 3.0
    variants = (
        {"dispatchers": 1, "instances": 50, "instance_processes": 4, "tenants": 20},
        {"dispatchers": 1, "instances": 50, "instance_processes": 2, "tenants": 20},
        {"dispatchers": 1, "instances": 16, "instance_processes": 1, "tenants": 20},
        {"dispatchers": 2, "instances": 50, "instance_processes": 4, "tenants": 20},
    )
    fixed = "default settings, inline handlers, results in the same format as Celery's"
    note = (
        "Fair shares between tenants, slots of instances, leases and fencing, an outbox; each task "
        "goes over gRPC to another process and back."
    )

    def environment(self, server: EmbeddedServer, settings: Settings) -> dict[str, str]:
        told = super().environment(server, settings)
        return {**told, "GODEL_RESULT_URL": told["PEER_RESULTS"]}

    def fleet(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:  # noqa: ARG002
        runtime = Runtime(load_settings())

        def all_known() -> bool:
            leases = runtime.store.run(runtime.registry.fleet()).leases
            return len(leases) >= int(settings["instances"])

        counts = spread(settings["instances"], settings["instance_processes"])
        return [
            dataclasses.replace(
                instance_spec(f"instance{n + 1}", count, "benchmarks.handlers:noop"),
                ready=all_known,
            )
            for n, count in enumerate(counts)
        ]

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        specs = [
            celery_worker(
                server,
                "workers.dispatcher",
                f"dispatcher{n + 1}",
                env=self.environment(server, settings),
            )
            for n in range(settings["dispatchers"])
        ]
        # Asking whether it is ready would take longer than the first tasks.
        return [dataclasses.replace(spec, ready=None, role="dispatcher") for spec in specs]

    def begun(self, look: Look) -> bool:
        return sum(one.depth for one in self.tenants()) < look.tasks

    def left(self, look: Look) -> int:  # noqa: ARG002
        return sum(one.depth + one.in_flight for one in self.tenants())

    def tenants(self) -> list[TenantStatus]:
        runtime = Runtime(load_settings())
        try:
            cell = runtime.cells[0]
            names = runtime.store.run(cell.tenants.names())
            return runtime.store.pipeline([cell.tenants.status(name) for name in names])
        finally:
            runtime.store.close()
