"""The supervisor: keeps processes running, shows what they say, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from godel_tasks.embedded import EmbeddedServer, read_info
from godel_tasks.supervisor import ProcessSpec, RestartDelays, ServerKeeper, Supervisor
from tests.helpers import wait_until, wait_until_async

#: Says READY, and says BYE and ends when it is asked to.
POLITE = """
import signal, sys, time
def bye(*_):
    print("BYE"); sys.exit(0)
signal.signal(signal.SIGTERM, bye)
print("READY")
while True: time.sleep(1)
"""
#: Hears no TERM, and has a child of its own that hears none either.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child: print("CHILD", child)
while True: time.sleep(1)
"""


class Lines:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.all.append((name, line))

    def of(self, name: str, start: str) -> list[str]:
        return [line for who, line in self.all if who == name and line.startswith(start)]


def spec(name: str, program: str, **options: object) -> ProcessSpec:
    return ProcessSpec(name=name, command=(sys.executable, "-c", program), **options)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def said(lines: Lines, name: str, start: str, times: int = 1) -> None:
    await wait_until_async(
        lambda: len(lines.of(name, start)) >= times,
        description=f"{name} said {start} {times} times",
        timeout=10,
    )


async def test_what_was_killed_comes_back_and_says_so() -> None:
    lines = Lines()
    async with Supervisor([spec("polite", POLITE)], sink=lines) as supervisor:
        # Given a running process
        await said(lines, "polite", "READY")
        first = supervisor.pids["polite"]
        # When it is killed
        supervisor.signal("polite", signal.SIGKILL)
        # Then another one runs in its place, and the log says why
        await said(lines, "polite", "READY", times=2)
        assert supervisor.pids["polite"] != first
        assert lines.of("polite", "ended (SIGKILL), starts again in")
        assert supervisor.child("polite").restarts == 1


async def test_a_process_that_ends_at_once_is_restarted_more_and_more_slowly() -> None:
    # Given a process that cannot live
    delays = RestartDelays(rng=random.Random(1))
    waits = [delays.after(0.01) for _ in range(10)]
    # Then each wait is between half and all of twice the one before, up to a limit
    for n, wait in enumerate(waits):
        full = min(30.0, 0.2 * 2**n)
        assert full / 2 <= wait <= full
    # And a good run makes the next wait short again
    assert delays.after(31.0) <= 0.2


async def test_stages_stop_in_reverse_order_and_neighbours_of_one_role_together() -> None:
    lines = Lines()
    specs = [
        spec("dispatcher1", POLITE, role="dispatcher"),
        spec("dispatcher2", POLITE, role="dispatcher"),
        spec("beat", POLITE),
    ]
    # Given all running
    supervisor = Supervisor(specs, sink=lines)
    await supervisor.start()
    for each in specs:
        await said(lines, each.name, "READY")
    pids = supervisor.pids
    # When they are stopped
    await supervisor.stop()
    # Then the last started was first to go, and nobody is left
    order = [name for name, line in lines.all if line == "BYE"]
    assert order[0] == "beat"
    assert set(order[1:]) == {"dispatcher1", "dispatcher2"}
    assert all(gone(pid) for pid in pids.values())
    assert supervisor.pids == {}


async def test_who_hears_no_term_is_killed_in_time_with_its_children() -> None:
    lines = Lines()
    supervisor = Supervisor([spec("stubborn", STUBBORN, stop_timeout_s=0.3)], sink=lines)
    await supervisor.start()
    await said(lines, "stubborn", "CHILD")
    grandchild = int(lines.of("stubborn", "CHILD")[0].split()[1])
    # When it is stopped
    began = time.monotonic()
    await supervisor.stop()
    # Then stopping was bounded, and its whole group is gone
    assert time.monotonic() - began < 5
    await wait_until_async(lambda: gone(grandchild), description="the grandchild is gone")


async def test_hurry_cuts_a_stop_short() -> None:
    lines = Lines()
    supervisor = Supervisor([spec("stubborn", STUBBORN, stop_timeout_s=60)], sink=lines)
    await supervisor.start()
    await said(lines, "stubborn", "CHILD")
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    # When somebody loses patience
    supervisor.hurry()
    # Then it does not take a minute
    await asyncio.wait_for(stopping, 5)


async def test_a_stop_while_waiting_to_restart_starts_nothing_more() -> None:
    lines = Lines()
    supervisor = Supervisor([spec("brief", "print('HERE')")], sink=lines)
    await supervisor.start()
    await wait_until_async(
        lambda: supervisor.child("brief").state == "waiting",
        description="between two runs",
        every=0.001,
    )
    await asyncio.wait_for(supervisor.stop(), 5)
    assert supervisor.child("brief").state == "ended"
    assert len(lines.of("brief", "HERE")) == supervisor.child("brief").restarts + 1


async def test_start_and_stop_may_be_called_in_any_order_and_again() -> None:
    supervisor = Supervisor([spec("polite", POLITE)])
    await supervisor.stop()
    await supervisor.start()
    pids = supervisor.pids
    await supervisor.start()
    assert supervisor.pids == pids
    await supervisor.stop()
    await supervisor.stop()
    await supervisor.start()
    assert supervisor.pids.keys() == {"polite"}
    await supervisor.stop()


async def test_a_program_that_does_not_exist_is_told_and_leaves_nothing_running() -> None:
    lines = Lines()
    supervisor = Supervisor(
        [spec("polite", POLITE), ProcessSpec(name="none", command=("/no/such/program",))],
        sink=lines,
    )
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        await supervisor.start()
    assert supervisor.pids == {}


async def test_ready_waits_for_the_check_and_names_who_is_late(tmp_path: Path) -> None:
    sign = tmp_path / "ready"
    prompt = spec("prompt", f"open({str(sign)!r}, 'w')\n" + POLITE, ready=sign.exists)
    late = spec("late", POLITE, ready=lambda: False)
    async with Supervisor([prompt]) as supervisor:
        assert await supervisor.wait_ready(10) == []
    async with Supervisor([prompt, late]) as supervisor:
        assert await supervisor.wait_ready(0.5) == ["late"]


async def test_the_keeper_brings_a_killed_server_back(tmp_path: Path) -> None:
    keeper = ServerKeeper(EmbeddedServer(tmp_path))
    first = await keeper.start()
    # When the server is killed
    psutil.Process(first.pid).kill()
    # Then it is back, under the same URL
    back = await wait_until_async(
        lambda: (info := read_info(tmp_path)) and info.pid != first.pid and info,
        description="the server is back",
    )
    assert back.url == keeper.server.url == first.url
    await keeper.stop()
    assert not keeper.server.alive()


def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    # Given a supervisor in a process of its own, with a polite child
    program = f"""
import asyncio, sys
from godel_tasks.supervisor import ProcessSpec, Supervisor
async def main():
    spec = ProcessSpec(name="p", command=(sys.executable, "-c", {POLITE!r}))
    async with Supervisor([spec]) as supervisor:
        print(supervisor.pids["p"], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    out = tmp_path / "out"
    with out.open("w") as file:
        process = psutil.Popen([sys.executable, "-c", program], stdout=file)
    pid = int(wait_until(out.read_text, description="the child runs", timeout=10))
    assert not gone(pid)
    # When the supervisor is killed
    process.kill()
    process.wait()
    # Then the child is told to end, and does
    wait_until(lambda: gone(pid), description="the child is gone")
