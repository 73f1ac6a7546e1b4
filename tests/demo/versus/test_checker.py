"""The figures of a comparison, from journals written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.demo.versus import checker

BEGAN = 1_000_000


class Journals:
    """A folder of journals; times are milliseconds since the beginning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def accepted(self, key: str, *, at: int, tenant: str = "b") -> None:
        self._add(f"producer-{tenant}", {"key": key, "tenant": tenant, "at": BEGAN + at})

    def ran(self, key: str, start: int, end: int | None, *, pid: int = 7) -> None:
        line = {"key": key, "pid": pid}
        self._add(f"runs-{pid}", line | {"event": "start", "at": BEGAN + start})
        if end is not None:
            self._add(f"runs-{pid}", line | {"event": "end", "at": BEGAN + end})

    def killed(self, target: str, *, at: int) -> None:
        self._add("kills", {"kind": "worker", "target": target, "at": BEGAN + at})

    def report(self, *, ended: int = 60_000, held: Sequence[str] = ()) -> dict[str, Any]:
        run = {"began": BEGAN, "ended": BEGAN + ended, "sender": "b", "held": list(held)}
        (self.folder / "run.json").write_text(json.dumps(run))
        return checker.report(self.folder)

    def _add(self, name: str, line: dict[str, Any]) -> None:
        with (self.folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path)


def test_a_wait_is_from_submit_to_the_first_start_and_only_the_senders_count(
    journals: Journals,
) -> None:
    # Given a task of the sender that was started twice, and a long wait of the other's
    journals.accepted("b-0", at=1_000)
    journals.ran("b-0", 3_500, None)
    journals.ran("b-0", 9_000, 9_100, pid=8)
    journals.accepted("a-0", at=0, tenant="a")
    journals.ran("a-0", 50_000, 50_100)
    # When the journals are checked
    report = journals.report()
    # Then the wait ends with the first start, and the second one is a rerun
    assert report["waits"] == [[1.0, 2.5, True]]
    assert (report["p50_s"], report["p99_s"], report["max_s"]) == (2.5, 2.5, 2.5)
    assert report["reruns"] == 1
    # And both are accepted and finished
    assert (report["accepted"], report["finished"]) == (2, 2)
    assert (report["lost"], report["held"]) == (0, 0)
    assert report["seconds"] == 50.1


def test_percentiles_are_by_nearest_rank(journals: Journals) -> None:
    # Given a hundred tasks that waited 0.1 s to 10 s
    for number in range(100):
        journals.accepted(f"b-{number:03d}", at=number)
        journals.ran(f"b-{number:03d}", number + 100 * (number + 1), 30_000)
    report = journals.report()
    # Then the fiftieth and the ninety-ninth say the percentiles
    assert (report["p50_s"], report["p99_s"], report["max_s"]) == (5.0, 9.9, 10.0)


def test_what_never_started_waited_until_the_end_at_least(journals: Journals) -> None:
    # Given a task that nobody has started, which the broker still has
    journals.accepted("b-0", at=20_000)
    report = journals.report(ended=60_000, held=["b-0"])
    # Then its wait counts, is marked, and the task is not lost
    assert report["waits"] == [[20.0, 40.0, False]]
    assert (report["p99_s"], report["never_started"]) == (40.0, 1)
    assert (report["held"], report["lost"], report["finished"]) == (1, 0, 0)


def test_what_nobody_finished_and_nobody_has_is_lost(journals: Journals) -> None:
    # Given three tasks that a killed worker had begun: one came back, one is held, one is nowhere
    for key in ("a-0", "a-1", "a-2"):
        journals.accepted(key, at=0, tenant="a")
        journals.ran(key, 100, None)
    journals.killed("worker1", at=150)
    journals.ran("a-0", 5_000, 5_100, pid=8)
    report = journals.report(held=["a-1", "a-0"])
    # Then each is counted as what it is
    assert (report["finished"], report["held"], report["lost"]) == (1, 1, 1)
    assert report["reruns"] == 1
    assert report["kills"] == [{"kind": "worker", "target": "worker1", "at_s": 0.15}]


def test_a_torn_last_line_does_not_count_and_a_torn_one_before_is_an_error(
    journals: Journals,
) -> None:
    # Given a journal whose writer was killed in the middle of a line
    journals.accepted("b-0", at=0)
    journals.ran("b-0", 10, None)
    path = journals.folder / "runs-7.jsonl"
    with path.open("a") as file:
        file.write('{"key":"b-0","event":"e')
    # Then it is read without that line
    assert journals.report()["finished"] == 0
    # But a broken line in the middle is said aloud
    with path.open("a") as file:
        file.write("\n{}\n")
    with pytest.raises(ValueError, match="line 2"):
        journals.report()


def test_it_needs_nothing_but_the_standard_library(journals: Journals) -> None:
    # Given the journals of one task
    journals.accepted("b-0", at=0)
    journals.ran("b-0", 10, 20)
    expected = journals.report()
    # When it is run where nothing of Godel can be imported (-I -S)
    done = subprocess.run(
        [sys.executable, "-I", "-S", checker.__file__, "--dir", str(journals.folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    # Then it says the same
    assert json.loads(done.stdout) == expected
