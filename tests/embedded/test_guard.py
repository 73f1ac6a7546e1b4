"""Nothing outlives its owner: not even when the owner is killed with SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from godel_tasks.embedded import EmbeddedServer, Guard, read_info
from tests.helpers import wait_until

OWNER = """
import sys, time
from godel_tasks.embedded import EmbeddedServer
server = EmbeddedServer(sys.argv[1])
print(server.start().pid, flush=True)
time.sleep(60)
"""

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""


def test_the_server_of_a_killed_owner_ends_and_its_data_are_there_for_the_next(
    tmp_path: Path,
) -> None:
    # Given a server that belongs to another process
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    server_pid = int(owner.stdout.readline())
    # When that is killed
    owner.kill()
    owner.wait()
    owner.stdout.close()
    # Then the next owner waits the moment it takes, and has the folder
    with EmbeddedServer(tmp_path) as server:
        info = read_info(tmp_path)
        assert info is not None
        assert info.pid == server.info.pid != server_pid
    wait_until(lambda: not psutil.pid_exists(server_pid), description="the old server is gone")


def test_a_stubborn_group_is_killed_and_a_forgotten_one_is_left_alone() -> None:
    # Given a process that ignores TERM, and one that the guard was told to forget
    stubborn = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], start_new_session=True, stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    spared = subprocess.Popen(["sleep", "60"], start_new_session=True)
    guard = Guard(grace_s=0.3)
    guard.watch(stubborn.pid)
    guard.watch(spared.pid)
    guard.forget(spared.pid)
    # When the owner is gone, which to the guard is a closed pipe
    guard.close()
    # Then the one is dead by KILL, and the other lives
    assert stubborn.wait(timeout=5) == -9
    stubborn.stdout.close()
    assert spared.poll() is None
    spared.kill()
    spared.wait()
