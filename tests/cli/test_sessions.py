"""`godel sessions`, and what `godel tasks` says of them."""

from __future__ import annotations

import pytest

from godel_tasks.runtime import Runtime
from godel_tasks.sessions import create_session, list_sessions
from godel_tasks.settings import load_settings
from godel_tasks.store.sessions import SessionCommands
from godel_tasks.worker import jobs
from tests.cli.played import PlayedDispatcher, godel, ok
from tests.helpers import wait_until

FREE = ("shared.0~",)


def put(*options: object) -> str:
    found: str = ok("tasks", "submit", "acme", "1", "--session-id", "s", *options)["task_id"]
    return found


def test_a_session_is_listed_shown_and_ended(played: PlayedDispatcher) -> None:
    # Given a session with a running task and two behind it
    ok("tenants", "add", "acme")
    first, second, third = put("--session-affinity", "hard"), put(), put()
    (held,) = played.take(classes=FREE)
    # Then it is told where it is, and what waits
    (listed,) = ok("sessions", "list")["sessions"]
    shown = ok("sessions", "show", "acme", "s")
    assert listed == shown
    assert (shown["instance"], shown["affinity"], shown["head"]) == ("i1", "hard", first)
    assert (shown["waiting"], shown["unsettled"], shown["ttl_s"]) == (2, 3, 86_400)
    assert "hard" in godel("sessions", "list", "acme").out
    assert ok("sessions", "list", "other")["sessions"] == []
    behind = ok("tasks", "show", third)
    assert (behind["behind"], behind["position"], behind["state"]) == (first, 2, "WAITING")
    # When it is ended while its task does not stop
    end = ok("sessions", "terminate", "acme", "s", "--patience", 0)
    # Then what waited is cancelled, and the session goes with its last task
    assert (end["cancelled"], end["running"], end["instance"]) == (2, True, "i1")
    assert ok("sessions", "show", "acme", "s")["ending"] is True
    refused = godel("tasks", "submit", "acme", "1", "--session-id", "s", "--json")
    assert (refused.code, refused.error["type"]) == (4, "SessionEnded")
    played.end(held)
    assert ok("tasks", "show", second)["state"] == "CANCELLED"
    gone = godel("sessions", "show", "acme", "s", "--json")
    assert (gone.code, gone.error["type"]) == (5, "UnknownSession")
    assert godel("sessions", "terminate", "acme", "s").code == 5
    assert "none" in godel("sessions", "list").err + godel("sessions", "list").out


def test_a_moved_session_is_told_with_its_task(played: PlayedDispatcher) -> None:
    # Given a session that lost its instance, and whose task waits for another one
    ok("tenants", "add", "acme")
    put()
    played.end(*played.take(classes=FREE))
    task_id = put()
    move = SessionCommands().move(class_id="shared.0~i1", reason="it was lost")
    assert played.cell.run(move) == 1
    # Then both say so
    shown = ok("tasks", "show", task_id)
    assert shown["session_note"] == "session moved from i1: it was lost; started fresh"
    session = ok("sessions", "show", "acme", "s")
    assert (session["instance"], session["moves"], session["moved_from"]) == (None, 1, "i1")
    assert session["moved_why"] == "it was lost"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--session-id", "a b"], "printable ASCII"),
        (["--session-id", "x" * 129], "1 to 128"),
        (["--session-id", "s", "--session-affinity", "firm"], "soft"),
        (["--session-affinity", "hard"], "session_id"),
    ],
)
def test_a_wrong_session_is_refused_with_a_hint(
    attached: str, options: list[str], words: str
) -> None:
    ok("tenants", "add", "acme")
    said = godel("tasks", "submit", "acme", "1", *options, "--json")
    assert (said.code, said.error["type"]) == (4, "InvalidTask")
    assert words in f"{said.error['message']} {said.error['hint']}"


def test_the_job_forgets_idle_sessions_and_finishes_what_was_begun(
    played: PlayedDispatcher,
) -> None:
    # Given a session that was idle for its time, one that was not, and one whose end was broken off
    ok("tenants", "add", "acme")
    runtime = Runtime(load_settings())
    create_session(runtime, "acme", "short", ttl_s=0.001)
    create_session(runtime, "acme", "long", labels={"who": "ann"})
    ids = [put() for _ in range(4)]
    played.cell.run(SessionCommands().end(name="acme:s", who="ops", limit=1))
    # When the job runs
    handled = 0

    def is_done() -> bool:
        nonlocal handled
        handled += jobs.sessions(runtime)
        return handled == 3

    wait_until(is_done, description="one is forgotten, two tasks more are cancelled")
    # Then only the one that may stay is left, and nothing of the broken off end
    assert [s.session_id for s in list_sessions(runtime, "acme")] == ["long"]
    played.publish()
    assert {ok("tasks", "show", task_id)["state"] for task_id in ids} == {"CANCELLED"}
    assert next(list_sessions(runtime, "acme")).labels == {"who": "ann"}
    runtime.store.close()
