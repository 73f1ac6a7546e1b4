"""The checker finds what was planted in journals written by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.demo import checker

Line = dict[str, Any]


class Journals:
    """A folder of journals, written line by line. Times are milliseconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tenants(self, **weights: float) -> None:
        (self.folder / "tenants.json").write_text(json.dumps(weights))

    def accepted(self, *ids: str, tenant: str = "acme", at: int = 0) -> None:
        self._add("producer", *({"id": id_, "tenant": tenant, "at": at} for id_ in ids))

    def result(
        self, id_: str, *, at: int, state: str = "SUCCESS", text: str = "", **more: str
    ) -> None:
        self._add("results", {"id": id_, "state": state, "digest": id_ + text, "at": at} | more)

    def ran(
        self, id_: str, start: int, end: int | None, *, on: str = "i1", attempt: int = 1
    ) -> None:
        line = {"id": id_, "attempt": attempt, "instance": on}
        self._add(f"instances-{on}", line | {"event": "start", "at": start})
        if end is not None:
            self._add(f"instances-{on}", line | {"event": "end", "at": end, "end": "ok"})

    def killed(self, kind: str, target: str, *, at: int, affected: tuple[str, ...] = ()) -> None:
        self._add("kills", {"kind": kind, "target": target, "at": at, "affected": affected})

    def report(self) -> Line:
        return checker.report(checker.read(self.folder))

    def _add(self, name: str, *lines: Line) -> None:
        with (self.folder / f"{name}.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path)


def test_a_clean_run_shows_nothing_wrong(journals: Journals) -> None:
    # Given two tasks that were accepted, ran once and were announced once
    journals.accepted("a", "b")
    journals.ran("a", 10, 20)
    journals.ran("b", 10, 30, on="i2")
    journals.result("a", at=1000)
    journals.result("b", at=2000, state="FAILURE")
    # When the journals are checked
    report = journals.report()
    # Then both are accounted for
    assert (report["submitted"], report["succeeded"], report["failed"]) == (2, 1, 1)
    assert (report["lost"], report["duplicates"], report["republished"]) == (0, 0, 0)
    assert (report["reruns"], report["same_attempt_reruns"], report["stray_ends"]) == (0, 0, 0)
    assert report["instances"] == {"i1": {"completed": 1}, "i2": {"completed": 1}}
    assert (report["seconds"], report["throughput_per_s"]) == (2.0, 1.0)


def test_a_task_without_a_result_is_lost_even_if_it_ran(journals: Journals) -> None:
    # Given a task that ran to its end, whose result nobody saw
    journals.accepted("a", "b")
    journals.ran("a", 10, 20)
    journals.result("b", at=1000)
    # Then it is lost
    assert journals.report()["lost"] == 1


def test_two_differing_results_are_a_duplicate_and_identical_ones_are_not(
    journals: Journals,
) -> None:
    # Given one task with the same result three times, and one with two that differ
    journals.accepted("same", "differs")
    for at in (100, 200, 300):
        journals.result("same", at=at)
    journals.result("differs", at=100, text="one")
    journals.result("differs", at=200, text="two")
    # Then only the second is a duplicate
    report = journals.report()
    assert (report["duplicates"], report["republished"]) == (1, 2)


def test_what_the_subscriber_read_after_a_gap_is_no_repeat(journals: Journals) -> None:
    # Given a result that was published, and read again after a broken connection
    journals.accepted("a")
    journals.result("a", at=100, via="publish")
    journals.result("a", at=200, via="read")
    # Then nothing was republished, but a reading that differs would be a duplicate
    assert journals.report()["republished"] == 0
    journals.result("a", at=300, via="read", text="other")
    assert journals.report()["duplicates"] == 1


def test_executions_beyond_the_first_are_reruns(journals: Journals) -> None:
    # Given a task that ran three times: another attempt, and the same attempt twice
    journals.accepted("a")
    journals.ran("a", 10, None)
    journals.ran("a", 50, 60, on="i2", attempt=2)
    journals.ran("a", 70, 80, on="i3", attempt=2)
    journals.result("a", at=90)
    # Then two of them are reruns, and one of these broke the promise of the attempt's key
    report = journals.report()
    assert (report["reruns"], report["same_attempt_reruns"]) == (2, 1)
    # And the task counts for one instance only
    completed = {name: row["completed"] for name, row in report["instances"].items()}
    assert completed == {"i1": 0, "i2": 0, "i3": 1}


def test_shares_are_of_slot_time_while_all_have_a_backlog(journals: Journals) -> None:
    # Given two tenants that submit at 0 and at 1000; the first one's last task starts at 3000
    journals.tenants(acme=3, bolt=1)
    journals.accepted("a1", "a2", tenant="acme", at=0)
    journals.accepted("b1", "b2", tenant="bolt", at=1000)
    # And acme runs 2 + 1 seconds inside 1000..3000, bolt 1, and both more outside of it
    journals.ran("a1", 500, 3000)
    journals.ran("a2", 3000, 9000)
    journals.ran("b1", 2000, 4000, on="i2")
    journals.ran("b2", 4000, 9000, on="i2")
    # Then only the time in common counts: 2000 ms against 1000 ms
    tenants = journals.report()["tenants"]
    assert tenants["acme"] == {"weight": 3, "share_under_contention": 0.6667, "succeeded": 0}
    assert tenants["bolt"]["share_under_contention"] == 0.3333


def test_a_rerun_does_not_lengthen_a_backlog_and_a_kill_ends_a_run(journals: Journals) -> None:
    # Given a tenant whose task is cut short at 2000 and runs again at 8000
    journals.accepted("a1", "a2", tenant="acme", at=0)
    journals.accepted("b1", "b2", tenant="bolt", at=0)
    journals.ran("a1", 0, None)
    journals.killed("instance", "i1", at=2000)
    journals.ran("a1", 8000, 9000, on="i2", attempt=2)
    journals.ran("a2", 4000, 5000, on="i2")
    journals.ran("b1", 0, 4000, on="i3")
    journals.ran("b2", 6000, 9000, on="i3")
    # Then the common backlog is 0..4000: 2000 ms against 4000 ms
    tenants = journals.report()["tenants"]
    assert tenants["acme"]["share_under_contention"] == 0.3333
    assert tenants["bolt"]["share_under_contention"] == 0.6667


def test_without_a_common_backlog_there_are_no_shares(journals: Journals) -> None:
    journals.accepted("a", tenant="acme", at=0)
    journals.accepted("b", tenant="bolt", at=5000)
    journals.ran("a", 10, 20)
    journals.ran("b", 5010, 5020)
    assert journals.report()["tenants"]["acme"]["share_under_contention"] is None


def test_recovery_of_an_instance_ends_with_the_last_task_that_runs_again(
    journals: Journals,
) -> None:
    # Given an instance that is killed at 1000 while it runs two tasks, a third being over
    journals.accepted("a", "b", "c")
    journals.ran("a", 900, None)
    journals.ran("b", 950, None)
    journals.ran("c", 100, 200)
    journals.killed("instance", "i1", at=1000)
    # When they start elsewhere after 2 and 3.5 seconds
    journals.ran("a", 3000, 3100, on="i2", attempt=2)
    journals.ran("b", 4500, 4600, on="i2", attempt=2)
    # Then the last one counts
    report = journals.report()
    assert (report["recovery_s"], report["affected"], report["unrecovered"]) == (3.5, 2, 0)
    assert report["killed"] == {"instance": "i1"}


def test_recovery_of_a_dispatcher_is_proved_by_a_result_not_by_an_end(journals: Journals) -> None:
    # Given a dispatcher that holds two tasks when it is killed; one was settled just before
    journals.accepted("running", "settled")
    journals.result("settled", at=990)
    journals.killed("dispatcher", "dispatcher1", at=1000, affected=("running", "settled"))
    # When the instance ends the other by itself, and a new owner settles it 4 seconds later
    journals.ran("running", 900, 1100)
    journals.result("running", at=5000)
    # Then the new owner counts
    report = journals.report()
    assert (report["recovery_s"], report["affected"]) == (4.0, 1)


def test_a_task_that_never_comes_back_is_unrecovered(journals: Journals) -> None:
    journals.accepted("a")
    journals.ran("a", 900, None)
    journals.killed("instance", "i1", at=1000)
    report = journals.report()
    assert (report["recovery_s"], report["unrecovered"], report["lost"]) == (None, 1, 1)


def test_an_instance_that_comes_back_under_its_name_closes_its_own_run(journals: Journals) -> None:
    # Given a run that was cut short, and the same attempt on the same instance after its restart
    journals.accepted("a")
    journals.ran("a", 900, None)
    journals.killed("instance", "i1", at=1000)
    journals.ran("a", 2000, 2100)
    # Then the kill affected the first run, and the second brought it back
    report = journals.report()
    assert (report["affected"], report["recovery_s"], report["reruns"]) == (1, 1.0, 1)


def test_a_torn_last_line_does_not_count_and_a_torn_middle_is_an_error(
    journals: Journals, tmp_path: Path
) -> None:
    # Given a producer that was killed in the middle of a line
    journals.accepted("a")
    with (tmp_path / "producer.jsonl").open("a") as file:
        file.write('{"id": "b", "ten')
    # Then that task was never accepted
    assert journals.report()["submitted"] == 1
    # But a journal that is broken in the middle cannot be trusted
    with (tmp_path / "producer.jsonl").open("a") as file:
        file.write("\n{}\n")
    with pytest.raises(ValueError, match=r"producer\.jsonl, line 2"):
        journals.report()


def test_an_end_without_a_start_is_reported(journals: Journals, tmp_path: Path) -> None:
    line = {"id": "a", "attempt": 1, "instance": "i1", "event": "end", "at": 5, "end": "ok"}
    (tmp_path / "instances-i1.jsonl").write_text(json.dumps(line) + "\n")
    assert journals.report()["stray_ends"] == 1


@pytest.mark.parametrize(("lost", "code"), [(False, 0), (True, 1)])
def test_it_runs_without_godel_or_any_library(
    journals: Journals, tmp_path: Path, lost: bool, code: int
) -> None:
    # Given journals, with and without a lost task
    journals.accepted("a")
    if not lost:
        journals.result("a", at=10)
    # When the script is run by an interpreter that sees nothing but the standard library
    command = [sys.executable, "-I", "-S", checker.__file__, "--dir", str(tmp_path), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    # Then it prints one line of JSON, and its exit code says whether all is well
    assert ended.stderr == ""
    assert json.loads(ended.stdout)["lost"] == int(lost)
    assert ended.returncode == code
