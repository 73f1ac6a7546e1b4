"""What was committed is in the file, whole, whatever happens to the writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from godel_tasks.demo.journal import Journal
from tests.helpers import wait_until

WRITER = """
import itertools, sys
from pathlib import Path
from godel_tasks.demo.journal import Journal
journal = Journal(Path(sys.argv[1]))
for n in itertools.count():
    journal.append({"n": n, "filling": "x" * 500})
    journal.commit()
    print(n, flush=True)
"""


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    # Given four threads that append and commit at the same time
    path = tmp_path / "deep" / "journal.jsonl"
    with Journal(path) as journal:

        def write(first: int) -> None:
            for n in range(first, first + 200):
                journal.append({"n": n})
                if n % 50 == 0:
                    journal.commit()

        threads = [threading.Thread(target=write, args=(1000 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # Then no line is torn or missing, and each thread's are in its order
    found = numbers(path)
    for k in range(4):
        assert [n for n in found if n // 1000 == k] == list(range(1000 * k, 1000 * k + 200))


def test_lines_of_one_call_stay_together_and_a_second_run_appends(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.append({"n": 1}, {"n": 2})
    with Journal(path) as journal:
        journal.append({"n": 3})
        journal.append()
        journal.commit()
        assert numbers(path) == [1, 2, 3]


def test_a_closed_journal_refuses(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append({"n": 1})


def test_commit_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a disk that takes its time
    released = threading.Event()
    real = os.fsync

    def slow(file: int) -> None:
        released.wait(10)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    with Journal(tmp_path / "journal.jsonl") as journal:
        # When a line is appended and committed
        journal.append({"n": 1})
        committed = threading.Event()

        def commit() -> None:
            journal.commit()
            committed.set()

        waiter = threading.Thread(target=commit)
        waiter.start()
        # Then the commit is not over before the fsync is
        assert not committed.wait(0.05)
        released.set()
        wait_until(committed.is_set, description="the commit is over")
        waiter.join()


def test_what_was_committed_survives_kill_9(tmp_path: Path) -> None:
    # Given a process that says each number after it was committed
    path = tmp_path / "journal.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(20)]
        # When it is killed while it writes on
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout]
    # Then all that it said is there
    assert numbers(path)[: len(said)] == said
