"""arq: its command line, one process a worker."""

from __future__ import annotations

from benchmarks.peers import install
from benchmarks.peers.peer import Look, PythonPeer, Settings
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec

APP = "benchmarks.peers.apps.arq_app"


class ArqPeer(PythonPeer):
    name = "arq"
    variants = (
        {"workers": 1, "max_jobs": 1000, "poll_delay_s": 0.01},
        {"workers": 1, "max_jobs": 100, "poll_delay_s": 0.01},
        {"workers": 1, "max_jobs": 20, "poll_delay_s": 0.001},
        {"workers": 2, "max_jobs": 100, "poll_delay_s": 0.001},
        {"workers": 2, "max_jobs": 100, "poll_delay_s": 0.5},
    )
    fixed = "keep_result 3600 s, log_results off, uvloop, hiredis"
    note = (
        "One queue without tenants; workers contend for its head, so that a second one slows the "
        "first down; results in the same database."
    )

    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        command = (
            *(install.command(self.name, "arq"), f"{APP}.WorkerSettings"),
            *("--custom-log-dict", f"{APP}.QUIET"),
        )
        return [self.process(n + 1, command, server, settings) for n in range(settings["workers"])]

    def begun(self, look: Look) -> bool:
        # A key for each job and the queue; then one more for each job that runs.
        return int(look.queue.dbsize()) > look.tasks + 1

    def stored(self, look: Look) -> int:
        # A job leaves the queue in the transaction that stores its result.
        return look.tasks - self.left(look)

    def left(self, look: Look) -> int:
        return int(look.queue.zcard("arq:queue"))
