"""The table of attempts, against everything that dispatchers may do to it in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.instances import attempts
from godel_tasks.instances.attempts import AttemptTable, Running

#: What happens to a key: who does what.
ACTS = st.tuples(
    st.sampled_from(["offer", "end", "report", "cancel", "acknowledge", "detach"]),
    st.integers(0, 5),
    st.sampled_from(["first", "second"]),
)


def delivery(number: int, *, generation: int = 1, instance_id: str = "i") -> Delivery:
    return Delivery(f"t{number}", 1, instance_id, generation, "acme", b"{}")


def completion(number: int, end: End = End.OK) -> Completion:
    return Completion(f"t{number}", 1, "i", end)


def started(table: AttemptTable[str], number: int, peer: str = "first") -> Running[str]:
    run = table.offer(delivery(number), peer)
    assert isinstance(run, Running)
    return run


@given(st.integers(1, 3), st.lists(ACTS, max_size=60))
def test_no_key_runs_twice_and_no_more_run_than_fit(
    capacity: int, acts: list[tuple[str, int, str]]
) -> None:
    # Given a table, and any sequence of acts of two dispatchers
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=capacity)
    ran: list[str] = []
    for act, number, peer in acts:
        key = f"t{number}:1"
        run = table.running.get(key)
        if act == "offer":
            answer = table.offer(delivery(number), peer)
            # Then an offer either runs, or is answered, or is adopted because it runs
            if isinstance(answer, Running):
                ran.append(key)
            elif answer is None:
                assert run is not None
        elif act == "end" and run is not None:
            table.end(run, completion(number), 0.0)
        elif act == "report" and run is not None:
            table.report(run, completion(number, End.TIMED_OUT))
        elif act == "cancel":
            table.cancel(key, peer)
        elif act == "acknowledge":
            table.acknowledge([key])
        elif act == "detach":
            table.detach(peer)
        # And never more run than fit
        assert len(table.running) <= capacity
    # And no key ever ran twice
    assert len(ran) == len(set(ran))
    assert table.peak <= capacity


def test_the_one_who_asked_last_is_told() -> None:
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=1)
    run = started(table, 1, "first")
    assert table.offer(delivery(1), "second") is None
    assert table.end(run, completion(1), 0.0) == ("second",)


def test_adoption_and_answers_do_not_depend_on_generation_or_drain() -> None:
    # Given a running and an ended attempt of a registration that is over
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=2)
    run = started(table, 1)
    table.end(started(table, 2), completion(2), 0.0)
    table.generation = 2
    table.draining = True
    # Then both are still known
    assert table.offer(delivery(1), "second") is None
    assert table.offer(delivery(2), "second") == completion(2)
    assert run.peer == "second"


def test_what_was_reported_early_keeps_its_slot_until_it_stops() -> None:
    # Given an attempt that was reported timed out and goes on
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=1)
    run = started(table, 1)
    assert table.report(run, completion(1, End.TIMED_OUT)) == ("first",)
    # Then its slot is in use, whoever asks for it gets the report, also after it was acknowledged
    full = table.offer(delivery(2), "first")
    assert isinstance(full, Completion)
    assert full.error_type == "Full"
    table.acknowledge(["t1:1"])
    assert table.offer(delivery(1), "second") == completion(1, End.TIMED_OUT)
    assert table.cancel("t1:1", "second") == completion(1, End.TIMED_OUT)
    # And when it stops nobody is told a second time, and the slot is free
    assert table.end(run, completion(1), 0.0) == ()
    started(table, 2)
    lost = table.offer(delivery(1), "first")
    assert isinstance(lost, Completion)
    assert lost.end is End.LOST


def test_completions_are_kept_for_a_time_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "KEEP_COMPLETIONS", 3)
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=1)

    def answer(number: int) -> End:
        kept = table.offer(delivery(number), "first")
        assert isinstance(kept, Completion)
        return kept.end

    # Given more completions than are kept
    for number in range(4):
        table.end(started(table, number), completion(number), float(number))
    # Then the oldest is forgotten, though not that it ran
    assert [answer(n) for n in range(4)] == [End.LOST, End.OK, End.OK, End.OK]
    # And an old one goes as well
    table.end(started(table, 4), completion(4), attempts.KEEP_S + 2.5)
    assert [answer(n) for n in range(5)] == [End.LOST, End.LOST, End.LOST, End.OK, End.OK]


def test_forgotten_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "KEEP_FORGOTTEN", 10)
    table: AttemptTable[str] = AttemptTable("i", generation=1, capacity=1)
    for number in range(100):
        table.end(started(table, number), completion(number), 0.0)
        table.acknowledge([f"t{number}:1"])
    remembered = [n for n in range(100) if isinstance(table.offer(delivery(n), "x"), Completion)]
    assert set(range(90, 100)) <= set(remembered)
    assert len(remembered) <= 20 + 99  # those refused as full after the first one ran


def test_the_table_tells_its_state() -> None:
    table: AttemptTable[str] = AttemptTable("i", generation=4, capacity=2)
    started_first = table.offer(delivery(1, generation=4), "first")
    assert isinstance(started_first, Running)
    table.draining = True
    assert repr(table) == "<AttemptTable i generation 4: 1/2 running, 0 kept draining>"
