"""`godel up`: everything that a small Godel needs, on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from godel_tasks.embedded import (
    EmbeddedServer,
    Guard,
    ServerInfo,
    ServerUrls,
    masked,
    needs_embedded,
    resolve_urls,
)
from godel_tasks.errors import GodelError
from godel_tasks.settings import Settings, load_settings
from godel_tasks.supervisor import PrefixedConsole, ServerKeeper, Supervisor
from godel_tasks.supervisor.processes import FLOWER_HOST, godel_processes, listens

T = TypeVar("T")

#: Seconds that workers have to come up before the table is shown without them.
READY_TIMEOUT_S = 60.0


def up(
    dispatchers: Annotated[
        int, typer.Option(min=1, max=64, help="How many dispatchers to run.")
    ] = 1,
    flower_port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port of Flower on the loopback.")
    ] = 5555,
    no_flower: Annotated[bool, typer.Option("--no-flower", help="Run no Flower.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the embedded server (GODEL_DATA_DIR).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON on stdout when all is up.")
    ] = False,
) -> None:
    """Run Redis, dispatchers, control, beat and Flower here, until Ctrl-C.

    Redis is the embedded one, unless GODEL_REDIS_URL says where another is. Logs go to stderr.
    """
    given = {} if data_dir is None else {"data_dir": data_dir}
    settings = load_settings(**given)
    port = None if no_flower else flower_port
    if port is not None and listens(FLOWER_HOST, port)():
        raise GodelError(f"port {port} is taken", hint="choose another with --port, or --no-flower")
    asyncio.run(_run(settings, dispatchers=dispatchers, flower_port=port, as_json=as_json))


async def _run(
    settings: Settings, *, dispatchers: int, flower_port: int | None, as_json: bool
) -> None:
    log = Console(stderr=True)
    sink = PrefixedConsole(log)
    guard = Guard(grace_s=settings.drain_timeout_s)
    interrupts = _Interrupts()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(guard.close)
        server = None
        if needs_embedded(settings):
            keeper = ServerKeeper(EmbeddedServer(settings.data_dir, guard=guard), sink=sink)
            stack.push_async_callback(keeper.stop)
            server = await keeper.start()
        urls = resolve_urls(settings)
        supervisor = Supervisor(
            godel_processes(
                settings,
                urls,
                dispatchers=dispatchers,
                flower_port=flower_port,
                env={"GODEL_DATA_DIR": str(settings.data_dir)},
            ),
            sink=sink,
            guard=guard,
        )
        interrupts.again = supervisor.hurry
        await stack.enter_async_context(supervisor)
        late = await interrupts.unless(supervisor.wait_ready(READY_TIMEOUT_S))
        if late is not None:
            report = Report(urls, server, supervisor.pids, flower_port, late)
            if as_json:
                print(json.dumps(report.as_dict()), flush=True)
            log.print(report.as_table())
        await interrupts.first.wait()
        log.print("stopping; once more to stop at once", style="dim")


@dataclass(frozen=True, slots=True)
class Report:
    """What runs where, once all is up. `late` names the processes that are not ready yet."""

    urls: ServerUrls
    server: ServerInfo | None
    pids: dict[str, int]
    flower_port: int | None
    late: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`. The URLs are whole: they lead in."""
        pids = {"up": os.getpid(), **self.pids}
        if self.server is not None:
            pids["redis"] = self.server.pid
        return {
            "ready": not self.late,
            "late": self.late,
            "urls": {**asdict(self.urls), "flower": self._flower_url},
            "pids": pids,
        }

    def as_table(self) -> Table:
        """For people. Passwords are left out."""
        table = Table("", "pid", "where", box=None, pad_edge=False, header_style="dim")
        where = masked(self.urls.state)
        if self.server is None:
            table.add_row("redis", "", where)
        else:
            what = f"{self.server.flavour} {self.server.version}"
            table.add_row("redis", str(self.server.pid), f"{where} ({what})")
        for name, pid in self.pids.items():
            at = self._flower_url if name == "flower" else ""
            table.add_row(name, str(pid), "not ready yet" if name in self.late else at)
        return table

    @property
    def _flower_url(self) -> str | None:
        return None if self.flower_port is None else f"http://{FLOWER_HOST}:{self.flower_port}"


class _Interrupts:
    """INT, TERM and HUP: the first one sets `first`, each one more calls `again`."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.again: Callable[[], None] = lambda: None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._hear)

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns; None if a signal came first, and then the work is cancelled."""
        task = asyncio.create_task(work)
        signalled = asyncio.create_task(self.first.wait())
        await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    def _hear(self) -> None:
        if self.first.is_set():
            self.again()
        self.first.set()
