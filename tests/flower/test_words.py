"""What a monitor makes of our events: Celery's own state of a cluster, fed with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery.events.state import State

from godel_tasks.events import (
    AttemptEnded,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskRetried,
    TaskStarted,
)
from godel_tasks.worker import celery_events as words

ID, WHO = "0a1b", ("0a1b", "acme", 1, "gw-7")
CLAIM = TaskClaimed(*WHO, 100.0, 2.5, "", {}, session_id="chat")
START = TaskStarted(*WHO, 100.1)


class Monitor:
    """What it knows of the one task, after each event as it comes over the wire."""

    def __init__(self) -> None:
        self.state: Any = State()
        self.clock = 0

    def hear(self, *events: dict[str, Any], node: str = "d1") -> Any:
        """The task as it is then."""
        for event in events:
            self.clock += 1
            wire = {"hostname": node, "clock": self.clock, **json.loads(json.dumps(event))}
            self.state.event({**wire, "local_received": event["timestamp"]})
        return self.state.tasks[ID]


def published(state: str, attempt: int = 1, **fields: Any) -> TaskPublished:
    instance = "gw-7" if attempt else ""
    known = {"run_s": 1.5, "at_s": 102.0, "correlation_id": "", "result": b""}
    known |= {"error_type": "", "error_module": "", "error_message": "", "traceback": ""}
    return TaskPublished(ID, "acme", attempt, instance, state, **{**known, **fields})


def retried(**fields: Any) -> TaskRetried:
    known = {"reason": "attempt 1 raised KeyError", "at_s": 101.0, "after_s": 0.5}
    known |= {"correlation_id": "", "error_type": "KeyError", "error_module": "builtins"}
    known |= {"error_message": "'x'", "traceback": "Traceback ..."}
    return TaskRetried(*WHO, **{**known, **fields})


def waits(outcome: str, reason: str) -> AttemptEnded:
    return AttemptEnded(*WHO, outcome, reason, "", 101.0, 101.0)


def test_a_task_from_sent_to_its_end() -> None:
    monitor = Monitor()
    # When it is claimed
    task = monitor.hear(*words.received(CLAIM))
    # Then it is received, and was sent when it came into its lane
    assert (task.state, task.sent, task.received) == ("RECEIVED", 97.5, 100.0)
    # When it is delivered, and ends
    assert monitor.hear(words.started(START, CLAIM)).state == "STARTED"
    end = published("SUCCEEDED", result=b'{"secret": "prompt"}')
    task = monitor.hear(*words.ended(end, CLAIM))
    # Then all of it is there, and no payload
    assert (task.state, task.runtime, task.retries) == ("SUCCESS", 1.5, 0)
    assert task.name == "godel_tasks.submit_task"
    assert task.args == "('acme',)"
    assert task.kwargs == (
        "{'tenant': 'acme', 'instance': 'gw-7', 'attempt': 1, 'session': 'chat'}"
    )
    assert (task.result, task.worker.hostname) == ("20 bytes of JSON", "d1")
    # And producers are no workers
    assert list(monitor.state.workers) == ["d1"]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (words.started(START, None), "STARTED"),
        (words.retried(retried(), None), "RETRY"),
        (words.ended(published("SUCCEEDED"), None)[-1], "SUCCESS"),
        (words.ended(published("FAILED"), None)[-1], "FAILURE"),
        (words.ended(published("CANCELLED"), None)[-1], "REVOKED"),
    ],
)
def test_any_single_event_says_what_its_task_is(event: dict[str, Any], state: str) -> None:
    # Given a monitor that heard nothing before: it was started late
    task = Monitor().hear(event)
    # Then it knows the task all the same
    assert (task.state, task.name, task.args) == (state, "godel_tasks.submit_task", "('acme',)")
    assert task.kwargs == "{'tenant': 'acme', 'instance': 'gw-7', 'attempt': 1}"


def test_a_retry_says_why_and_counts() -> None:
    monitor = Monitor()
    monitor.hear(*words.received(CLAIM), words.started(START, CLAIM))
    # When the attempt raised
    task = monitor.hear(words.retried(retried(), CLAIM))
    assert (task.state, task.exception, task.traceback, task.retries) == (
        "RETRY", "KeyError: 'x'", "Traceback ...", 1,
    )  # fmt: skip
    # And when another dispatcher claims it again
    again = TaskClaimed(ID, "acme", 2, "gw-8", 101.6, 0.1, "", {})
    task = monitor.hear(*words.received(again), node="d2")
    # Then it is there with its second attempt, and was sent when it was sent
    assert (task.state, task.retries, task.sent) == ("RECEIVED", 1, 97.5)
    assert task.kwargs == "{'tenant': 'acme', 'instance': 'gw-8', 'attempt': 2}"
    assert task.worker.hostname == "d2"


def test_a_lost_attempt_has_the_reason_for_its_exception() -> None:
    lost = retried(error_type="", error_message="", traceback="", reason="gw-7 is gone")
    task = Monitor().hear(words.retried(lost, CLAIM))
    assert (task.exception, task.traceback) == ("gw-7 is gone", None)


@pytest.mark.parametrize(
    ("outcome", "said"), [("held", "on hold: it may"), ("handed_back", "handed back: it may")]
)
def test_what_waits_again_is_pending_as_its_result_says(outcome: str, said: str) -> None:
    monitor = Monitor()
    monitor.hear(*words.received(CLAIM), words.started(START, CLAIM))
    # When its attempt ends without a retry
    task = monitor.hear(*words.waits_again(waits(outcome, "it may"), CLAIM))
    # Then it is PENDING, with the reason, and no attempt was spent
    assert (task.state, task.exception, task.retries) == ("PENDING", said, 0)
    # And goes on from there as any other
    assert monitor.hear(*words.received(CLAIM)).state == "RECEIVED"
    assert monitor.hear(words.started(START, CLAIM)).state == "STARTED"


def test_a_cancelled_or_late_task_says_which_and_by_whom() -> None:
    # Given one that was cancelled while it ran, and one that expired before
    stopped = published("CANCELLED", error_type="Cancelled", error_message="cancelled by ann")
    late = published("EXPIRED", 0, error_message="its deadline passed")
    # Then both are revoked
    event = words.ended(stopped, CLAIM)[-1]
    assert (event["terminated"], event["expired"]) == (True, False)
    assert Monitor().hear(event).exception == "cancelled by ann"
    *_, event = events = words.ended(late, None)
    assert (event["terminated"], event["expired"]) == (False, True)
    # And the one that nobody claimed has a place in lists by time
    task = Monitor().hear(*events)
    assert (task.state, task.received, task.kwargs) == ("REVOKED", 102.0, "{'tenant': 'acme'}")


def test_a_task_that_is_cancelled_between_attempts_keeps_what_is_known_of_it() -> None:
    task = Monitor().hear(*words.received(CLAIM), *words.ended(published("CANCELLED", 0), CLAIM))
    assert (task.state, task.received) == ("REVOKED", 100.0)
    assert "'instance': 'gw-7'" in task.kwargs


def test_a_task_taken_over_runs_on_its_new_dispatcher() -> None:
    monitor = Monitor()
    monitor.hear(*words.received(CLAIM), words.started(START, CLAIM))
    # When another dispatcher adopts it
    adopted = TaskAdopted(*WHO, 103.0, "", {})
    task = monitor.hear(*words.received(adopted), node="d2")
    # Then it runs as before, there
    assert (task.state, task.worker.hostname, task.sent) == ("STARTED", "d2", 97.5)


def test_tasks_of_a_canvas_know_where_they_come_from() -> None:
    claim = TaskClaimed(*WHO, 100.0, 0.0, "", {}, root_id="first", parent_id="last")
    task = Monitor().hear(*words.received(claim))
    assert (task.root_id, task.parent_id) == ("first", "last")


def test_long_texts_are_cut() -> None:
    # Given an error that says too much
    long = published("FAILED", error_type="E", error_message="m" * 5_000, traceback="t" * 50_000)
    [event] = words.ended(long, CLAIM)
    # Then of the message the beginning is shown, of the traceback the end
    assert event["exception"].startswith("E: mmm")
    assert len(event["exception"]) < words.MESSAGE_LIMIT + 10
    assert event["traceback"].startswith("...\nttt")
    assert len(event["traceback"]) < words.TRACEBACK_LIMIT + 10
