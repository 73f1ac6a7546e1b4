"""Everything of the demo, brought up and taken down again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from godel_tasks.demo.growing import Growth, declare, remove_all
from godel_tasks.demo.logbook import LogBook
from godel_tasks.demo.plan import TENANTS
from godel_tasks.demo.processes import demo_processes
from godel_tasks.demo.site import DRAIN_S, Site, free_port
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.embedded import EmbeddedServer, Guard
from godel_tasks.errors import GodelError
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.executor import AsyncExecutor
from godel_tasks.supervisor import ProcessSpec, Supervisor
from godel_tasks.supervisor.processes import FLOWER_HOST

#: Seconds that the processes have to come up. Eleven interpreters start at once.
READY_TIMEOUT_S = 90.0

#: What runs in a house whose server is up.
Processes = Callable[[Runtime, LogBook], Sequence[ProcessSpec]]


@dataclass
class House:
    """A Godel that runs, and what watches it from outside."""

    site: Site
    book: LogBook
    server: EmbeddedServer
    supervisor: Supervisor
    runtime: Runtime
    #: For looking, from this process's event loop.
    store: AsyncExecutor
    #: Ends what outlives this process.
    guard: Guard
    #: Tasks of all tenants.
    tasks: int
    #: 0: there is no Flower.
    flower_port: int = 0
    #: Processes that are allowed to have ended.
    killed: set[str] = field(default_factory=set)
    #: Where it is, the fleet grows and shrinks by itself.
    growth: Growth | None = None

    @property
    def flower_url(self) -> str:
        return f"http://{FLOWER_HOST}:{self.flower_port}"

    def check(self) -> None:
        """Raises `GodelError` when a process has ended that should not have."""
        for child in self.supervisor.children:
            spec = child.spec
            if spec.restart or child.state != "ended" or spec.name in self.killed:
                continue
            if spec.name == "producer" and child.last_exit == 0:
                continue
            raise GodelError(
                f"{spec.name} ended, which it should not (exit code {child.last_exit})",
                hint=f"its last words were:\n{self.book.last(spec.name)}",
            )


@contextlib.asynccontextmanager
async def opened(site: Site, *, count: int) -> AsyncIterator[House]:
    """The house with all its processes ready, and `count` tasks of each tenant ready to be
    submitted. Nothing of it runs afterwards.

    Raises:
        GodelError: something did not come up; its last lines are in the hint.
    """
    port = free_port()

    def processes(runtime: Runtime, book: LogBook) -> list[ProcessSpec]:
        return demo_processes(
            runtime.settings, runtime.urls, site, book, count=count, flower_port=port
        )

    async with built(site, processes, tasks=count * len(TENANTS)) as house:
        house.flower_port = port
        await all_ready(house)
        declare(house.runtime, site)
        house.growth = Growth(house.store, site.server / "instances", house.guard)
        yield house


@contextlib.asynccontextmanager
async def built(site: Site, processes: Processes, *, tasks: int) -> AsyncIterator[House]:
    """A house with its server, its tenants, and its processes started; they need not be ready yet.
    Nothing of it runs afterwards."""
    book = LogBook(site.logs)
    guard = Guard(grace_s=DRAIN_S)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(guard.close)
        stack.push_async_callback(remove_all, site.server)
        server = EmbeddedServer(site.server, guard=guard)
        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        runtime = Runtime(load_settings())
        store = runtime.async_store()
        stack.push_async_callback(store.close)
        supervisor = Supervisor(processes(runtime, book), sink=book, guard=guard)
        house = House(site, book, server, supervisor, runtime, store, guard, tasks)
        await _create_tenants(house)
        await stack.enter_async_context(supervisor)
        yield house


async def _create_tenants(house: House) -> None:
    for name, weight in TENANTS.items():
        cell = house.runtime.cell_of(name)
        await house.store.run(cell.tenants.put(TenantConfig(name, weight)))


async def all_ready(house: House) -> None:
    """Raises `GodelError` when a process ends, or is not ready in time."""
    waiting = asyncio.create_task(house.supervisor.wait_ready(READY_TIMEOUT_S))
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=0.2)
            house.check()
    finally:
        waiting.cancel()
    if late := waiting.result():
        words = "\n".join(map(house.book.last, late))
        raise GodelError(
            f"{', '.join(late)} did not come up in {READY_TIMEOUT_S:g} s",
            hint=f"the last words were:\n{words}",
        )
