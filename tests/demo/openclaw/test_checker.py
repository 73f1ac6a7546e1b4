"""The figures of the demo with gateways, from journals written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.demo.openclaw import checker

TENANTS = {"gold": 4.0, "silver": 2.0}


class Journals:
    """A folder of journals; times are milliseconds since the beginning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: dict[str, int] = {}
        (folder / "tenants.json").write_text(json.dumps(TENANTS))

    def accepted(self, *ids: str, tenant: str = "gold", **fields: str) -> None:
        for id_ in ids:
            item = {"task_id": id_, "tenant_id": tenant, "payload": f"do {id_}"} | fields
            self._add("items", item)
            self._add("producer", {"id": id_, "tenant": tenant, "at": 1000})
            self.calls[f"do {id_}"] = 1

    def ended(
        self, id_: str, at: int, *, on: str = "gw-1", attempts: int = 1, digest: str = "d"
    ) -> None:
        godel = {"instance": on, "attempts": attempts, "run_ms": 500.0, "tenant": "gold"}
        line = {"id": id_, "state": "SUCCESS", "digest": digest, "at": at, "via": "publish"}
        self._add("results", line | {"godel": godel})

    def killed(
        self, kind: str, target: str, at: int, running: list[str], *, held: tuple[str, ...] = (),
        pinned: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        line = {"event": "kill", "kind": kind, "target": target, "at": at, "pinned": pinned}
        self._add("drama", line | {"running": running, "affected": [*running, *held]})

    def back(self, id_: str, at: int) -> None:
        self._add("drama", {"event": "back", "id": id_, "at": at})

    def report(self, *, aborted: int = 0) -> dict[str, Any]:
        (self.folder / "calls.json").write_text(json.dumps(self.calls))
        spent = {name: {"tokens": 100, "cost_usd": 0.25} for name in TENANTS}
        records = {"tenants": spent, "strays_aborted": aborted}
        (self.folder / "records.json").write_text(json.dumps(records))
        return checker.report(self.folder)

    def _add(self, name: str, line: dict[str, Any]) -> None:
        with (self.folder / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path)


def test_a_calm_run_has_nothing_to_report_but_what_it_did(journals: Journals) -> None:
    # Given turns of two tenants that all ended
    journals.accepted("a", "b")
    journals.accepted("c", tenant="silver")
    journals.ended("a", 2000)
    journals.ended("b", 2500, on="gw-2")
    journals.ended("c", 3000)
    # Then the figures begin as those of the other demo do
    report = journals.report()
    assert list(report)[: len(checker.FIRST_KEYS)] == list(checker.FIRST_KEYS)
    counts = {name: report[name] for name in ("submitted", "succeeded", "failed", "lost")}
    assert counts == {"submitted": 3, "succeeded": 3, "failed": 0, "lost": 0}
    assert (report["duplicates"], report["reruns"], report["adopted"]) == (0, 0, 0)
    assert report["seconds"] == 2.0
    # And the gateways' turns come from the results, the tenants' spending from their records
    assert report["instances"] == {"gw-1": {"completed": 2}, "gw-2": {"completed": 1}}
    assert report["tenants"]["gold"]["tasks"] == 2
    assert report["tenants"]["gold"]["tokens"] == 100
    assert (report["tokens"], report["cost_usd"]) == (200, 0.5)
    assert report["model_calls"] == 3


def test_what_is_lost_and_what_has_two_results_is_counted(journals: Journals) -> None:
    # Given a turn without a result, one with two, and one that was published again as it was
    journals.accepted("none", "two", "again")
    journals.ended("two", 2000)
    journals.ended("two", 2100, digest="other")
    journals.ended("again", 2000)
    journals.ended("again", 2200)
    # Then each is what it is
    report = journals.report()
    assert (report["lost"], report["duplicates"], report["republished"]) == (1, 1, 1)


def test_adopted_is_what_ran_on_to_its_end_with_one_call_and_one_attempt(
    journals: Journals,
) -> None:
    # Given a dispatcher that is killed with turns in flight
    journals.accepted("kept", "called-twice", "tried-twice", "ended-before", "not-begun", "lost")
    running = ["kept", "called-twice", "tried-twice", "ended-before", "lost"]
    journals.killed("dispatcher", "dispatcher1", 5000, running, held=("not-begun",))
    for id_ in ("kept", "called-twice", "not-begun"):
        journals.ended(id_, 9000)
    journals.ended("tried-twice", 9000, attempts=2)
    journals.ended("ended-before", 4000)
    journals.calls["do called-twice"] = 2
    # Then only the one that went through it untouched counts
    report = journals.report()
    assert report["adopted"] == 1
    assert report["reruns"] == 1
    assert report["unrecovered"] == 1


def test_recovery_is_told_apart_for_turns_that_wait_for_their_gateway(journals: Journals) -> None:
    # Given a gateway that is killed while it runs a free turn and one of a session
    journals.accepted("free")
    journals.accepted("bound", session_id="s", instance="gw-2")
    both = ["free", "bound"]
    journals.killed("instance", "gw-2", 5000, both, pinned=("bound",))
    journals.back("free", 8000)
    journals.back("bound", 35_000)
    journals.ended("free", 9000, attempts=2)
    journals.ended("bound", 36_000, on="gw-2", attempts=2)
    journals.calls |= {"do free": 2, "do bound": 2}
    # Then both figures are there, and both calls were made again
    report = journals.report(aborted=2)
    assert (report["recovery_s"], report["pinned_s"]) == (3.0, 30.0)
    assert report["killed"] == {"instance": "gw-2"}
    assert (report["reruns"], report["aborted_after_restart"]) == (2, 2)


def test_a_result_that_no_model_was_asked_for_is_noticed(journals: Journals) -> None:
    journals.accepted("a")
    journals.ended("a", 2000)
    journals.calls.clear()
    assert journals.report()["answered_without_model"] == 1
