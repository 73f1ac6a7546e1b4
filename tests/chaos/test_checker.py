"""The checker finds each kind of loss in journals that tell of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import Verdict, judge
from tests.chaos.faults import KINDS, plan

Line = Mapping[str, Any]


def produced(*ids: str, event: str = "accepted") -> list[Line]:
    return [{"event": event, "id": i, "tenant": "ada", "at": 1} for i in ids]


def result(task_id: str, digest: str = "d") -> Line:
    return {"id": task_id, "state": "SUCCESS", "digest": digest, "at": 2}


def run(event: str, task_id: str, attempt: int = 1, end: str = "ok", at: int = 1) -> Line:
    line = {"event": event, "id": task_id, "attempt": attempt, "instance": "i1", "at": at}
    return {**line, "end": end} if event == "end" else line


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Verdict]:
    """The verdict over these journals, with two slots on the one instance."""

    def judged(
        producer: list[Line],
        results: list[Line],
        instance: list[Line],
        stored: dict[str, str] | None = None,
    ) -> Verdict:
        journals = {"producer1": producer, "results": results, "instances-i1": instance}
        for name, lines in journals.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / f"{name}.jsonl").write_text(text)
        there = {line["id"]: line["digest"] for line in results} if stored is None else stored
        return judge(tmp_path, there, rounds=1, unsettled=0, capacity=2)

    return judged


def test_a_run_in_good_order_is_good(judged: Callable[..., Verdict]):
    verdict = judged(
        [*produced("a", "b", event="intent"), *produced("a")],
        [result("a"), result("a"), result("b")],
        [run("start", "a"), run("end", "a"), run("start", "b"), run("end", "b")],
    )
    assert verdict.good
    assert (verdict.accepted, verdict.reruns) == (1, 0)


def test_an_accepted_task_without_a_stored_result_is_lost(judged: Callable[..., Verdict]):
    verdict = judged(produced("a", "b"), [result("a"), result("b")], [], stored={"a": "d"})
    assert [line.split()[0] for line in verdict.lost] == ["b"]
    assert not verdict.good


def test_two_differing_results_are_duplicates_however_they_were_seen(
    judged: Callable[..., Verdict],
):
    announced = judged(produced("a"), [result("a"), result("a", "e")], [], stored={"a": "d"})
    assert announced.duplicates == ["a"]
    overwritten = judged(produced("a"), [result("a")], [], stored={"a": "e"})
    assert overwritten.duplicates == ["a"]
    assert not overwritten.good


def test_a_start_beyond_the_capacity_is_found_and_a_restart_frees_all(
    judged: Callable[..., Verdict],
):
    starts = [run("start", task_id) for task_id in "abc"]
    done = [result(task_id) for task_id in "abc"]
    assert len(judged(produced(*"abc"), done, starts).over_capacity) == 1
    boot = {"event": "boot", "id": "", "at": 1}
    assert judged(produced(*"abc"), done, [*starts[:2], boot, starts[2]]).good


def test_one_process_must_not_start_an_attempt_twice(judged: Callable[..., Verdict]):
    again = [run("start", "a"), run("end", "a"), run("start", "a")]
    assert judged(produced("a"), [result("a")], again).problems == [
        "a:1 was started twice by one process"
    ]


def test_a_rerun_is_what_no_failure_asked_for(judged: Callable[..., Verdict]):
    def reruns(end: str) -> int:
        first = [run("start", "a", at=1), run("end", "a", end=end, at=2)]
        return judged(produced("a"), [result("a")], [*first, run("start", "a", 2, at=3)]).reruns

    assert [reruns(end) for end in ("ok", "lost", "failed", "timed_out")] == [1, 1, 0, 0]


def test_what_ran_without_anybody_meaning_it_is_a_problem(judged: Callable[..., Verdict]):
    assert "nobody meant" in judged([], [], [run("start", "z")]).problems[0]


def test_the_plan_depends_on_the_seed_alone_and_knows_every_fault():
    assert list(plan(7, 50, 6.0)) == list(plan(7, 50, 6.0))
    assert list(plan(7, 50, 6.0)) != list(plan(8, 50, 6.0))
    faults = [fault for faults in plan(1, 200, 6.0) for fault in faults]
    assert {(f.act, f.target) for f in faults} == {(act, target) for _, act, target in KINDS}
