"""What a running task has said so far, as the command and results tell it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from godel_tasks.celery import make_app
from godel_tasks.cli.tasks.show import SAID
from godel_tasks.dispatch.config import CellStore
from godel_tasks.domain.attempt import Progress
from godel_tasks.results import GodelResult
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.records import HeldTask
from tests.cell import retry
from tests.cli.played import PlayedDispatcher, godel, ok

LONG = "begin " + "and so on " * 30 + "end"


class Reader:
    """A producer that looks at results."""

    def __init__(self, url: str) -> None:
        self._app = make_app("tests.said")
        self._app.godel = Runtime(load_settings(redis_url=url))

    def result(self, task_id: str) -> GodelResult:
        return GodelResult(task_id, app=self._app)

    def close(self) -> None:
        self._app.godel.store.close()
        self._app.godel.results.close()
        self._app.close()


@pytest.fixture
def reader(attached: str) -> Iterator[Reader]:
    reader = Reader(attached)
    yield reader
    reader.close()


def _says(played: PlayedDispatcher, held: HeldTask, text: str) -> None:
    """Its dispatcher writes down that its attempt has said this."""
    progress = Progress(held.record.task_id, held.record.attempt, "i1", text)
    played.cell.run(CellStore(0).progress.put(progress, keep_text=65_536, at_ms=1_800_000_000_000))


def _told(task_id: str) -> str:
    """What people are shown of it, each line on its own."""
    return " ".join(godel("tasks", "show", task_id).out.split())


def test_people_see_the_end_of_it_and_programs_all(
    played: PlayedDispatcher, reader: Reader
) -> None:
    # Given a task that runs, and has said nothing yet
    played.cell.tenant("acme")
    played.cell.submit("acme", played.cell.task())
    (held,) = played.take()
    task_id = held.record.task_id
    assert reader.result(task_id).progress() is None
    assert ok("tasks", "show", task_id)["said"] is None
    assert "said" not in _told(task_id)
    # When it says something short, then that is shown
    _says(played, held, "hello")
    assert "said so far hello" in _told(task_id)
    # When it has said much, then people see its end, and programs all of it
    _says(played, held, LONG)
    assert LONG[-SAID:].strip() in _told(task_id)
    assert "begin" not in _told(task_id)
    assert ok("tasks", "show", task_id)["said"] == LONG
    assert reader.result(task_id).progress() == {
        "text": LONG,
        "attempt": 1,
        "instance": "i1",
        "at_ms": 1_800_000_000_000,
    }


def test_what_an_attempt_of_before_said_is_not_told(
    played: PlayedDispatcher, reader: Reader
) -> None:
    # Given a task whose first attempt spoke, and which runs again
    played.cell.tenant("acme")
    played.cell.submit("acme", played.cell.task())
    (first,) = played.take()
    task_id = first.record.task_id
    _says(played, first, "the first words")
    played.cell.settle("d1", retry(first))
    # Then nothing is told while it waits, nor of the second attempt until that speaks
    assert reader.result(task_id).progress() is None
    (second,) = played.take()
    assert second.record.attempt == 2
    assert reader.result(task_id).progress() is None
    assert ok("tasks", "show", task_id)["said"] is None
    # When a dispatcher that is late writes those of the first once more, it does no harm
    _says(played, second, "the second words")
    assert ok("tasks", "show", task_id)["said"] == "the second words"
    _says(played, first, "the first words")
    assert ok("tasks", "show", task_id)["said"] is None


def test_a_task_that_ended_has_a_result_instead(played: PlayedDispatcher, reader: Reader) -> None:
    played.cell.tenant("acme")
    played.cell.submit("acme", played.cell.task())
    (held,) = played.take()
    task_id = held.record.task_id
    _says(played, held, "nearly")
    # When it ends, though what it said is kept for a while
    played.end(held, result="done")
    assert played.cell.run(CellStore(0).progress.get(task_id)) is not None
    # Then only its result is told
    assert reader.result(task_id).progress() is None
    shown = ok("tasks", "show", task_id)
    assert (shown["said"], shown["result"]) == (None, "done")
    assert "nearly" not in _told(task_id)
