"""`celery -A workers.dispatcher worker` as a command: its flags, its start, its remote control."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.helpers import wait_until
from tests.world import REPOSITORY, Process, World

#: Flags that a dispatcher refuses, and a word of the hint.
REFUSED = {
    "pool": (("-P", "prefork"), "leave -P out"),
    "concurrency": (("-c", "4"), "start more workers"),
    "beat": (("-B",), "process of its own"),
    "queues": (("-Q", "mine"), "serves all of them"),
    "autoscale": (("--autoscale=4,1",), "start or stop workers"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """All of them are started at once: a start costs a second of processor time."""
    with World(tmp_path_factory.mktemp("flags")) as world:
        yield {
            name: world.dispatcher(f"refused-{name}", *flags, ready=False)
            for name, (flags, _) in REFUSED.items()
        }


@pytest.mark.parametrize("name", REFUSED)
def test_a_flag_that_makes_no_sense_is_refused_with_a_hint(refused: dict[str, Process], name: str):
    _, hint = REFUSED[name]
    # When a dispatcher is started with it
    code = refused[name].wait(40)
    # Then it ends, saying which flag it was and what to do instead
    assert code not in (0, None)
    assert hint in refused[name].text()
    assert "Traceback" not in refused[name].text()


def test_a_dispatcher_is_at_work_within_3_s_and_says_so_in_one_line(
    fresh_world: Callable[..., World],
):
    # Given a server (the machine may be busy: the best of three starts counts)
    world = fresh_world()
    best = float("inf")
    for n in range(3):
        # When a dispatcher is started
        began = time.monotonic()
        dispatcher = world.dispatcher(f"d{n}")
        wait_until(lambda: len(world.leases()) == 1, description="it has a lease", timeout=20)
        best = min(best, time.monotonic() - began)
        # Then it says so in one line of its own
        lines = [line for line in dispatcher.text().splitlines() if "[godel." in line]
        assert len(lines) == 1, lines
        assert f"dispatcher=d{n}@" in lines[0]
        dispatcher.terminate()
        dispatcher.wait()
        if best < 3:
            break
    assert best < 3


def test_celery_inspect_reaches_a_dispatcher(calm: World):
    # When an operator pings
    command = [sys.executable, "-m", "celery", "-A", "workers.dispatcher", "inspect", "ping"]
    answer = subprocess.run(
        [*command, "--timeout", "5"],
        cwd=REPOSITORY, env=calm.env(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # Then it answers
    assert answer.returncode == 0, answer.stderr
    assert "d1@" in answer.stdout
    assert "pong" in answer.stdout
