"""Failover is counted from journals: who ran where when the fault came, and when it ran again."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.blackhole import Blackhole
from benchmarks.faults import VICTIMS, free_port, plan
from benchmarks.journals import Journals, Runs, failover_times, peak, reruns, shares


def line(task: str, instance: str, event: str, at: int, attempt: int = 1) -> dict[str, Any]:
    return {"id": task, "attempt": attempt, "instance": instance, "at": at, "event": event}


def told(*lines: dict[str, Any]) -> Runs:
    runs = Runs()
    for one in lines:
        runs.add(one)
    return runs


def test_the_time_counts_from_the_fault_to_a_run_on_somebody_who_was_not_struck() -> None:
    # Given two victims, struck at 1,000 and at 1,100
    struck = {"a": 1_000, "b": 1_100}
    runs = told(
        # one that ran, went to the other victim first, and then to somebody who lives
        line("t1", "a", "start", 900),
        line("t1", "b", "start", 1_050, 2),
        line("t1", "c", "start", 4_000, 3),
        # one whose end was lost on the way
        line("t2", "b", "start", 500),
        line("t2", "b", "end", 1_099),
        line("t2", "c", "start", 2_100, 2),
        # one that ended and was settled, and one that was never there
        line("t3", "a", "start", 100),
        line("t3", "a", "end", 600),
        line("t4", "c", "start", 900),
        # one that began there after the fault
        line("t5", "a", "start", 1_500),
    )
    # When it is counted
    found = reruns(runs, struck, {"t3": "a"})
    # Then each victim has the tasks that ran there when it was struck
    assert found == {"a": {"t1": 3.0}, "b": {"t1": 2.9, "t2": 1.0}}
    # And its time is that of its last task
    assert failover_times([found]) == {
        "p50_s": 2.95, "max_s": 3.0, "victims": 2, "tasks": 3, "not_rerun": 0,
    }  # fmt: skip


def test_a_task_that_never_ran_again_is_no_figure() -> None:
    # Given one victim whose task ran elsewhere, and one with a task that did not
    runs = told(
        line("t1", "a", "start", 0), line("t1", "c", "start", 2_000, 2), line("t2", "b", "start", 0)
    )
    found = reruns(runs, {"a": 1_000, "b": 1_000}, {})
    # When it is summed up over two victims, then the slowest has no time, and it is counted
    told_ = failover_times([found, {"idle": {}}])
    assert told_["max_s"] is None
    assert (told_["victims"], told_["tasks"], told_["not_rerun"]) == (2, 2, 1)
    # And one whose own end was settled after all is none of them
    assert reruns(runs, {"b": 1_000}, {"t2": "b"}) == {"b": {}}


def test_nothing_struck_is_no_time_at_all() -> None:
    assert failover_times([{"a": {}}])["p50_s"] is None


def test_the_part_of_new_work_is_one_when_it_is_fair() -> None:
    runs = told(*(line(f"t{n}", "abcd"[n % 4], "start", 1_000) for n in range(8)))
    assert shares(runs, "abcd", ["a", "b"], 500) == 1.0
    assert shares(runs, "abcd", ["a"], 2_000) == 0.0


def test_the_most_that_went_on_at_once() -> None:
    # Given two that follow each other within one ms, and one beside them that never ended
    runs = told(
        line("t1", "a", "start", 1), line("t1", "a", "end", 5),
        line("t2", "a", "start", 5), line("t2", "a", "end", 9), line("t3", "a", "start", 2),
    )  # fmt: skip
    assert peak(runs) == 2
    assert peak([]) == 0


def test_journals_are_read_on_from_where_they_ended(tmp_path: Path) -> None:
    # Given a journal whose last line is half written
    journal, journals = tmp_path / "a.jsonl", Journals(tmp_path)
    whole = json.dumps(line("t1", "a", "start", 5)) + "\n"
    late = json.dumps(line("t1", "a", "end", 9)) + "\n"
    journal.write_text(whole + late[:20])
    # When it is read before and after the rest came
    assert [run.ended_ms for run in journals.look()] == [0]
    with journal.open("a") as file:
        file.write(late[20:])
    # Then no line is lost, and none counts twice
    assert [run.ended_ms for run in journals.look()] == [9]
    assert [run.ended_ms for run in journals.look()] == [9]


@pytest.mark.parametrize("seed", range(5))
def test_nobody_is_struck_twice(seed: int) -> None:
    names = [f"i{n}" for n in range(20)]
    victims = plan(names, random.Random(seed))
    assert {kind: len(of) for kind, of in victims.items()} == VICTIMS
    assert sorted(name for of in victims.values() for name in of) == sorted(names)
    assert victims == plan(names, random.Random(seed))


async def test_a_wire_that_is_cut_swallows_everything_and_gives_it_back_late() -> None:
    # Given a server that answers in capitals, behind a wire
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data.upper())
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    wire = Blackhole(("127.0.0.2", port), ("127.0.0.1", port))
    wire.heal()
    reader, writer = await asyncio.open_connection("127.0.0.2", port)
    writer.write(b"one")
    assert await reader.read(100) == b"ONE"
    # When it is cut, then nothing comes back, nobody is told, and who connects hears nothing
    wire.cut()
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(100), 0.1)
    late_reader, late_writer = await asyncio.open_connection("127.0.0.2", port)
    late_writer.write(b"three")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(late_reader.read(100), 0.1)
    # And when it is healed, all of it arrives
    wire.heal()
    assert await asyncio.wait_for(reader.read(100), 5) == b"TWO"
    assert await asyncio.wait_for(late_reader.read(100), 5) == b"THREE"
    # And an end on one side is an end on the other
    for each in (writer, late_writer):
        each.close()
    assert await asyncio.wait_for(reader.read(100), 5) == b""
    await wire.close()
    server.close()
    await server.wait_closed()
