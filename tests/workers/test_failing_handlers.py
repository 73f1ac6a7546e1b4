"""Handlers that raise, hang, answer nonsense or take their process with them."""

from __future__ import annotations

import pytest

from godel_tasks.errors import PayloadNotSerializable, TaskTimedOut
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.workers.handlers import Refused
from tests.world import World


def dead_letters(world: World) -> list[str]:
    lookup = world.runtime.cells[0].lookup
    return [task_id for task_id, _ in world.runtime.store.run(lookup.dead_letters(0, -1))]


def test_a_handler_that_raises_once_is_tried_again_after_a_pause(calm: World):
    # Given a handler that raises in its first attempt
    result = calm.submit("acme", {"raise": "not yet", "until": 2})
    # When it is tried again
    answer = result.get(timeout=10)
    # Then the second attempt's answer is the result
    assert answer["attempt"] == 2
    assert result.attempts == 2
    # And it came no earlier than the back-off (0.2 s, halved at most by jitter) allows
    first, second = calm.starts(result.id)
    assert second["at"] - first["at"] >= 100


def test_a_handler_that_always_raises_ends_as_a_dead_letter_with_its_error(calm: World):
    # Given a handler that raises whenever it is called
    result = calm.submit("acme", {"raise": "no, never"}, max_attempts=3)
    # When all attempts are used
    with pytest.raises(Refused, match="no, never"):
        result.get(timeout=10)
    # Then it failed after three executions, and is kept for a person to look at
    assert result.state == "FAILURE"
    assert len(calm.starts(result.id)) == 3
    assert "raise Refused" in str(result.traceback)
    assert result.id in dead_letters(calm)


def test_a_handler_that_hangs_is_stopped_when_its_time_is_up(calm: World):
    # Given a handler that would sleep for a minute, and half a second to do it in
    result = calm.submit("acme", {"sleep": 60}, timeout=0.5, max_attempts=1)
    # When its time is up
    with pytest.raises(TaskTimedOut):
        result.get(timeout=10)
    # Then it was stopped on its instance, too
    wait_until(
        lambda: [line["end"] for line in calm.journal(result.id) if line["event"] == "end"],
        description="the instance says how it ended",
    )
    assert calm.journal(result.id)[-1]["end"] == "timed_out"


def test_an_answer_that_json_cannot_carry_fails_at_once(calm: World):
    # Given a handler that returns a bare object
    result = calm.submit("acme", {"return": "unserialisable"}, max_attempts=5)
    # When it has returned
    with pytest.raises(PayloadNotSerializable, match="JSON cannot carry"):
        result.get(timeout=10)
    # Then nobody tried again: the next answer would be no better
    assert len(calm.starts(result.id)) == 1
    assert result.id in dead_letters(calm)


def test_a_handler_that_ends_its_process_is_not_tried_for_ever(calm: World):
    # Given an instance whose supervisor starts it anew, and a task that ends its process
    brittle = calm.instance("brittle", ASYNC, "--capability", "brittle=yes")
    result = calm.submit("acme", {"exit": 3}, capabilities={"brittle": "yes"}, max_attempts=2)
    for _ in range(2):
        assert brittle.wait() == 3
        brittle.start()
    # When it has cost two processes
    with pytest.raises(Exception, match="lost with its instance") as caught:
        result.get(timeout=15)
    # Then it is given up, with what is known
    assert type(caught.value).__name__ == "AttemptUncertain"
    assert len(calm.starts(result.id)) == 2
    assert result.id in dead_letters(calm)
    brittle.terminate()
    assert brittle.wait() == 0
