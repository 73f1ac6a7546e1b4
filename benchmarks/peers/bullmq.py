"""BullMQ, on Node: one process a worker."""

from __future__ import annotations

from benchmarks.peers import install
from benchmarks.peers.peer import Look, Peer, Settings
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec


class BullMQPeer(Peer):
    name = "bullmq"
    share = 3.0
    variants = (
        {"workers": 1, "concurrency": 100},
        {"workers": 1, "concurrency": 50},
        {"workers": 1, "concurrency": 300},
        {"workers": 2, "concurrency": 100},
    )
    fixed = "removeOnComplete off, so that each job and its return value stay; ioredis"
    note = (
        "One queue without tenants, on Node; writes events of each job; results in the same "
        "database. One process leaves the other core to the server."
    )

    @property
    def ready(self) -> bool:
        return install.is_installed("bullmq")

    def prepare(self) -> None:
        install.bullmq()

    @property
    def client(self) -> tuple[str, ...]:
        return (install.node(), str(install.CACHE / "bullmq" / "app.mjs"))

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        command = (*self.client, "work")
        return [self.process(n + 1, command, server, settings) for n in range(settings["workers"])]

    def begun(self, look: Look) -> bool:
        return int(look.queue.llen("bull:noop:wait")) < look.tasks

    def stored(self, look: Look) -> int:
        return int(look.queue.zcard("bull:noop:completed"))

    def left(self, look: Look) -> int:
        return sum(int(look.queue.llen(f"bull:noop:{state}")) for state in ("wait", "active"))
