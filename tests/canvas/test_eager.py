"""task_always_eager: the handler runs here, with no server at all."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery, chain, chord, group

from godel_tasks.celery import make_app
from godel_tasks.errors import (
    InvalidTask,
    PayloadNotSerializable,
    TaskTimedOut,
    WorkerError,
)
from godel_tasks.instances.handlers import TaskContext
from godel_tasks.tasks import SUBMIT_TASK
from tests.canvas.handlers import Broken, act
from tests.canvas.plain import make_plain

#: Nobody listens there.
URL = "redis://localhost:1"


async def unserialisable(_payload: Any) -> object:
    return object()


def context_of(payload: Any, context: TaskContext) -> Any:
    return [payload, context.tenant_id, context.attempt, context.instance_id, context.headers]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `submit_task` of an eager app with the handler of a name in this module."""

    def make(handler: str = "act", **settings: str) -> Any:
        monkeypatch.setenv("GODEL_REDIS_URL", URL)
        if handler:
            monkeypatch.setenv("GODEL_EAGER_HANDLER", f"{__name__}:{handler}")
        for name, value in settings.items():
            monkeypatch.setenv(f"GODEL_{name.upper()}", value)
        app: Celery = make_app("tests.eager")
        app.conf.task_always_eager = True
        return app.tasks[SUBMIT_TASK]

    return make


def test_a_task_runs_here_and_its_result_is_there(eager: Any) -> None:
    result = eager().delay("acme", 1)
    assert (result.get(), result.state) == (11, "SUCCESS")


def test_the_handler_gets_what_an_instance_would_give_it(eager: Any) -> None:
    result = eager("context_of").apply_async(("acme", {"x": (1, 2)}), headers={"n": 1})
    assert result.get() == [{"x": [1, 2]}, "acme", 1, "eager", {"n": "1"}]


def test_attempts_follow_each_other_up_to_the_limit(eager: Any) -> None:
    submit = eager()
    assert submit.delay("acme", {"raise": "no", "until": 3}).get() == 3
    with pytest.raises(Broken, match="no"):
        submit.delay("acme", {"raise": "no", "until": 3}, max_attempts=2).get()


def test_errors_are_those_that_get_would_raise(eager: Any) -> None:
    submit = eager()
    with pytest.raises(TaskTimedOut):
        submit.delay("acme", {"sleep": 5}, timeout=0.01, max_attempts=1).get()
    with pytest.raises(InvalidTask, match="did you mean 'high'"):
        submit.delay("acme", 1, priority="hihg").get()
    with pytest.raises(PayloadNotSerializable):
        eager("unserialisable").delay("acme", 1).get()


def test_without_a_handler_it_says_which_setting_is_missing(eager: Any) -> None:
    with pytest.raises(WorkerError, match="GODEL_EAGER_HANDLER"):
        eager(handler="").delay("acme", 1).get()


def test_canvas_runs_eagerly_with_ordinary_tasks(eager: Any) -> None:
    submit = eager()
    plain = make_plain(submit.app)
    plain.conf.task_always_eager = True
    add, xsum = plain.tasks["plain.add"], plain.tasks["plain.xsum"]
    assert chain(submit.s("acme", 1), add.s(1), submit.s("acme"))().get() == 22
    assert group([submit.s("acme", 1), add.s(1, 1)])().get() == [11, 2]
    assert chord([submit.s("acme", 1), add.s(1, 1)])(xsum.s()).get() == 13
    assert submit.starmap([("acme", 1), ("acme", 2)])().get() == [11, 12]


async def test_it_runs_within_a_loop_that_runs(eager: Any) -> None:
    assert eager().delay("acme", 1).get() == 11


def test_it_can_be_turned_off_and_on_again(eager: Any) -> None:
    submit = eager()
    submit.app.conf.task_always_eager = False
    assert not submit._is_eager()
    submit.app.conf.update(task_always_eager=True)
    assert submit.delay("acme", 1).get() == 11


__all__ = ["act"]
