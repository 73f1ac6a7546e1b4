"""A world of real processes for stories and chaos: a server, dispatchers, instances, a producer.

Everything is a process of its own, with a log of its own under `folder`, and ends with the world,
or with the process that made the world, however that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from godel_tasks.cancelling import cancel_in_cells
from godel_tasks.celery import GodelCelery, make_app
from godel_tasks.domain.tenant import TenantConfig, TenantStatus
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.embedded.guard import Guard
from godel_tasks.results import GodelResult
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.keys import CellKeys
from godel_tasks.store.queue import CancelReply
from godel_tasks.submission import Submission, submit_many
from godel_tasks.tasks import SUBMIT_TASK
from tests.helpers import wait_until

REPOSITORY = Path(__file__).parent.parent
#: `godel instance`, whether or not the command is on PATH.
INSTANCE = "import typer; from godel_tasks.cli.instance import instance; typer.run(instance)"
#: Seconds that a process may take to be at work; the machine may be slow.
READY_S = 30.0


class Process:
    """One child with its log. `incarnation` counts starts under this name, from 1."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], guard: Guard
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = dict(env)
        self._guard = guard
        self.incarnation = 0
        self._from = 0
        self.popen: subprocess.Popen[bytes]
        self.start()

    def __repr__(self) -> str:
        code = self.popen.poll()
        return f"<{self.name} pid {self.pid} {'runs' if code is None else f'exit {code}'}>"

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def start(self) -> None:
        """Start it (again)."""
        self.incarnation += 1
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command, cwd=REPOSITORY, env=self._env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._guard.watch(self.pid)

    def send(self, number: signal.Signals) -> None:
        if self.alive:
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, of the whole group, and wait for the end."""
        self.send(signal.SIGKILL)
        self.wait()

    def stall(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def wait(self, timeout: float = 20.0) -> int:
        """Its exit code."""
        code = self.popen.wait(timeout)
        self._guard.forget(self.pid)
        return code

    def text(self) -> str:
        """What this incarnation wrote."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def wait_for(self, words: str, timeout: float = READY_S) -> None:
        """Until it writes these words.

        Raises AssertionError with its log when it ends before.
        """

        def said() -> bool:
            if words in self.text():
                return True
            assert self.alive, f"{self!r} before it said {words!r}:\n{self.text()}"
            return False

        wait_until(said, description=f"{self.name} says {words!r}", timeout=timeout)


class World:
    """Stops everything when it is left. `settings` are Godel's, for every process in it."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.journals = folder / "journals"
        for path in (self.logs, self.journals):
            path.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self.guard = Guard(grace_s=1.0)
        self.server = EmbeddedServer(folder / "data", guard=self.guard)
        self.processes: dict[str, Process] = {}
        self._app: GodelCelery | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, the server last."""
        for process in self.processes.values():
            process.resume()
            process.kill()
        if self._app is not None:
            runtime = self._app.godel
            for name in ("store", "results"):
                if name in vars(runtime):
                    getattr(runtime, name).close()
            self._app.close()
        if self.server.alive():
            os.kill(self.server.info.pid, signal.SIGCONT)
        self.server.stop()
        self.guard.close()

    @property
    def url(self) -> str:
        """The server's, also while it is away after its first start."""
        self._url = self._url or self.server.url
        return self._url

    # -- processes ---------------------------------------------------------------------------

    def env(self, **settings: object) -> dict[str, str]:
        """The environment of a process of this world."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GODEL_", "CELERY_"))}
        env["PYTHONUNBUFFERED"] = "1"
        env["GODEL_DATA_DIR"] = str(self.server.data_dir)
        env["GODEL_REDIS_URL"] = self.url
        for key, value in {**self._settings, **settings}.items():
            env[f"GODEL_{key.upper()}"] = str(value)
        return env

    def spawn(self, name: str, command: Sequence[str], **settings: object) -> Process:
        """Any process, by any name that is not taken by one that runs."""
        before = self.processes.get(name)
        assert before is None or not before.alive, f"{before!r} stands in the way"
        log = self.logs / f"{name}.log"
        process = Process(name, command, log, self.env(**settings), self.guard)
        self.processes[name] = process
        return process

    def dispatcher(self, name: str, *flags: str, ready: bool = True, **settings: object) -> Process:
        """`celery -A workers.dispatcher worker`."""
        command = [
            sys.executable, "-m", "celery", "-A", "workers.dispatcher", "worker",
            "-n", f"{name}@%h", "--without-gossip", "--without-mingle", *flags,
        ]  # fmt: skip
        process = self.spawn(name, command, **settings)
        if ready:
            process.wait_for("dispatcher.up")
        return process

    def instance(
        self, name: str, handler: str, *flags: str, ready: bool = True, **settings: object
    ) -> Process:
        """`godel instance`; its journal is `journals/instances-<name>.jsonl`."""
        journal = self.journals / f"instances-{name}.jsonl"
        command = [
            sys.executable, "-c", INSTANCE, "--handler", handler, "--id", name,
            "--journal", str(journal), *flags,
        ]  # fmt: skip
        process = self.spawn(name, command, **settings)
        if ready:
            process.wait_for("listens on")
        return process

    # -- a producer in this process ------------------------------------------------------------

    @property
    def app(self) -> GodelCelery:
        if self._app is None:
            self._app = make_app("tests.world")
            self._app.godel = Runtime(
                load_settings(redis_url=self.url, data_dir=self.server.data_dir, **self._settings)
            )
        return self._app

    @property
    def runtime(self) -> Runtime:
        return self.app.godel

    def submit(self, tenant_id: str, payload: object, **fields: Any) -> GodelResult:
        """`submit_task.apply_async` of an app that is attached to this world."""
        task = self.app.tasks[SUBMIT_TASK]
        result = task.apply_async((tenant_id, payload), fields)
        assert isinstance(result, GodelResult)
        return result

    def submit_many(self, items: Sequence[Mapping[str, Any]]) -> list[Submission]:
        return submit_many(self.runtime, items)

    def cancel(self, task_id: str) -> CancelReply:
        return cancel_in_cells(self.runtime, task_id, who="story")

    def tenant(self, name: str, **fields: Any) -> str:
        """Create (or change) a tenant; its name."""
        cell = self.runtime.cell_of(name)
        self.runtime.store.run(cell.tenants.put(TenantConfig(name, **fields)))
        return name

    def tenant_status(self, name: str) -> TenantStatus:
        status = self.runtime.store.run(self.runtime.cell_of(name).tenants.status(name))
        assert status is not None
        return status

    # -- looking -----------------------------------------------------------------------------

    def state(self, task_id: str) -> str:
        """The task's state while it is not settled, else ""."""
        for cell in self.runtime.cells:
            entry = self.runtime.store.run(cell.lookup.entry(task_id))
            if entry is not None:
                return str(entry.state.value)
        return ""

    def unsettled(self) -> int:
        """Tasks that are not settled, over all cells."""
        from godel_tasks.store.command import plain

        return sum(
            self.runtime.store.run(plain("HLEN", CellKeys.of(cell.cell).fixed("index"), decode=int))
            for cell in self.runtime.cells
        )

    def owner(self, task_id: str) -> str:
        """The name under which its dispatcher was started; "" when nobody holds it."""
        for cell in self.runtime.cells:
            entry = self.runtime.store.run(cell.lookup.entry(task_id))
            if entry is not None and entry.owner != "-":
                return str(entry.owner).partition("@")[0]
        return ""

    def leases(self) -> dict[str, int]:
        """Dispatchers by name: the ends of their leases."""
        found: dict[str, int] = {}
        for cell in self.runtime.cells:
            leases = self.runtime.store.run(cell.lookup.dispatchers())
            found.update(leases)
        return found

    def journal(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """What the instances wrote (about one task), in the order of time."""
        lines = [line for path in self.journals.glob("instances-*.jsonl") for line in read(path)]
        found = [line for line in lines if task_id in (None, line["id"])]
        return sorted(found, key=lambda line: int(line["at"]))

    def starts(self, task_id: str) -> list[dict[str, Any]]:
        """Executions of a task: the lines of their starts."""
        return [line for line in self.journal(task_id) if line["event"] == "start"]


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a journal; a torn last one does not count."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            yield json.loads(line)
