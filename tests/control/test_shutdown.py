"""QUIT, INT, the soft shutdown and REMAP_SIGTERM mean for a dispatcher what they mean for a worker.

TERM is in tests/workers/test_draining.py.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from godel_tasks.results import GodelResult
from tests.control.conftest import broadcast, celery
from tests.helpers import wait_until
from tests.world import REPOSITORY, World

#: Seconds of soft shutdown.
SOFT_S = 1


@pytest.fixture(scope="module")
def dispatchers(world: World) -> Iterator[None]:
    """`soft`, under REMAP_SIGTERM and with a soft shutdown of a second, and `interrupted`, beside
    the world's own, which stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMAP_SIGTERM", "SIGQUIT")
        world.dispatcher("soft", f"worker.soft_shutdown_timeout={SOFT_S}", ready=False)
    world.dispatcher("interrupted", ready=False)
    for name in ("soft", "interrupted"):
        world.processes[name].wait_for("ready.")
    yield
    for name in ("soft", "interrupted"):
        world.processes[name].kill()


pytestmark = pytest.mark.usefixtures("dispatchers")


def held_by(world: World, name: str, *sleeps: float) -> list[GodelResult]:
    """Tasks that sleep so long, and that this dispatcher runs."""
    alive = [n for n in ("d1", "d2", "soft", "interrupted") if world.processes[n].alive]
    others = [other for other in alive if other != name]
    broadcast(world, "godel_pause", *others)
    results = [world.submit("acme", {"sleep": seconds}) for seconds in sleeps]
    for result in results:
        wait_until(lambda r=result: world.state(r.id) == "RUNNING", description="it runs")  # type: ignore[misc]
        assert world.owner(result.id) == name
    broadcast(world, "godel_resume", *others)
    return results


def taken_over(world: World, result: GodelResult, *, of: str) -> None:
    """By another dispatcher, in the attempt that runs already; then it is stopped."""
    wait_until(lambda: world.owner(result.id) not in ("", of), description="taken over", timeout=10)
    assert world.state(result.id) == "RUNNING"
    assert len(world.starts(result.id)) == 1
    result.revoke(terminate=True)
    wait_until(lambda: not world.state(result.id), description="it ended", timeout=10)


def test_a_cold_shutdown_gives_what_runs_the_soft_time_and_leaves_the_rest(world: World):
    # Given a dispatcher with a soft shutdown of 1 s, one task that ends within that, and one not
    soon, late = held_by(world, "soft", 0.7, 60)
    # When it gets QUIT, or TERM where REMAP_SIGTERM says so
    began = time.monotonic()
    world.processes["soft"].terminate()
    # Then it lets the first one end, and leaves when its time is up
    world.processes["soft"].wait(10)
    assert SOFT_S - 0.1 < time.monotonic() - began < SOFT_S + 3
    assert soon.get(timeout=1)["attempt"] == 1
    assert len(world.starts(soon.id)) == 1
    # And the other one runs on, and is somebody else's: no attempt was lost
    taken_over(world, late, of="soft")


def test_an_interrupt_drains_and_a_quit_after_it_leaves_at_once(world: World):
    # Given a dispatcher with a running task
    (result,) = held_by(world, "interrupted", 60)
    process = world.processes["interrupted"]
    # When it is interrupted (Ctrl-C)
    process.send(signal.SIGINT)
    # Then it drains
    wait_until(lambda: "Warm shutdown" in process.text(), description="it drains")
    waits = world.submit("acme", {})
    assert waits.get(timeout=10)["attempt"] == 1  # by others
    assert process.alive
    assert world.owner(result.id) == "interrupted"
    # When it gets QUIT
    began = time.monotonic()
    process.send(signal.SIGQUIT)
    # Then it leaves at once, and the task runs on under another one
    process.wait(10)
    assert time.monotonic() - began < 3
    taken_over(world, result, of="interrupted")


def test_celery_multi_starts_restarts_and_stops_workers(world: World, tmp_path: Path):
    def multi(verb: str) -> None:
        words = (
            "-A",
            "godel_tasks",
            f"--pidfile={tmp_path}/%n.pid",
            f"--logfile={tmp_path}/%n.log",
        )
        subprocess.run(
            celery("multi", verb, "m1", *words, "--without-gossip", "--without-mingle"),
            cwd=REPOSITORY, env=world.env(), capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip

    def pid() -> int:
        """Of the worker that dispatches."""
        wait_until(lambda: leases("m1"), description="it has a lease", timeout=20)
        number = int((tmp_path / "m1.pid").read_text())
        world.guard.watch(number)
        return number

    def leases(name: str) -> list[str]:
        return [lease for lease in world.leases() if lease.startswith(f"{name}@")]

    # Given a worker that `celery multi` started
    multi("start")
    first, lease = pid(), leases("m1")
    # When it is restarted
    multi("restart")
    # Then another process dispatches in its place
    wait_until(lambda: leases("m1") not in ([], lease), description="the next one", timeout=20)
    assert pid() != first
    assert "dispatcher.up" in (tmp_path / "m1.log").read_text()
    # When it is stopped
    multi("stop")
    # Then it ends in good order: nothing is left of it but its log
    wait_until(
        lambda: [path.name for path in tmp_path.iterdir()] == ["m1.log"], description="it ends"
    )
    assert leases("m1") == []
