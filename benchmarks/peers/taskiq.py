"""taskiq: its command line, the stream broker and the result backend of taskiq-redis."""

from __future__ import annotations

from benchmarks.peers import install
from benchmarks.peers.peer import Look, PythonPeer, Settings
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec


class TaskiqPeer(PythonPeer):
    name = "taskiq"
    variants = (
        {"workers": 2, "max_async_tasks": 20, "xread_count": 100, "serializer": "pickle"},
        {"workers": 2, "max_async_tasks": 20, "xread_count": 100, "serializer": "orjson"},
        {"workers": 2, "max_async_tasks": 10, "xread_count": 100, "serializer": "pickle"},
        {"workers": 2, "max_async_tasks": 100, "xread_count": 100, "serializer": "pickle"},
        {"workers": 2, "max_async_tasks": 1000, "xread_count": 1000, "serializer": "pickle"},
    )
    fixed = "RedisStreamBroker, ack-type when_saved, no-parse, RedisAsyncResultBackend, uvloop"
    note = "One stream without tenants; acknowledged messages stay in it; results do not expire."

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        command = (
            *(install.command(self.name, "taskiq"), "worker"),
            *("benchmarks.peers.apps.taskiq_app:broker", "--workers", str(settings["workers"])),
            *("--max-async-tasks", str(settings["max_async_tasks"])),
            *("--ack-type", "when_saved", "--no-parse", "--log-level", "WARNING"),
        )
        return [self.process(1, command, server, settings)]

    def begun(self, look: Look) -> bool:
        (group,) = look.queue.xinfo_groups("taskiq")
        return int(group["pending"]) > 0

    def left(self, look: Look) -> int:
        (group,) = look.queue.xinfo_groups("taskiq")
        return int(group["pending"]) + int(group["lag"] or 0)
