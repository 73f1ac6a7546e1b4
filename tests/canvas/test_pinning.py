"""What is kept of a task's followers: ids, queues, and what is refused at submit."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group

from godel_tasks.canvas.pinning import nested, pin, unpin
from godel_tasks.celery import GodelCelery, make_app
from godel_tasks.errors import InvalidTask
from godel_tasks.tasks import SUBMIT_TASK
from tests.canvas.plain import make_plain


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[GodelCelery]:
    monkeypatch.setenv("GODEL_REDIS_URL", redis_url)
    made = make_app("tests.pinning")
    yield made
    backend: Any = made.backend
    backend._pending_results.concrete.clear()
    gc.collect()
    backend.client.connection_pool.disconnect()
    made.close()


@pytest.fixture
def plain(app: GodelCelery) -> Celery:
    return make_plain(app)


def ids(canvas: bytes) -> list[str]:
    return [s["options"]["task_id"] for s in _signatures(unpin(canvas))]


def _signatures(options: dict[str, Any]) -> list[Any]:
    found = []
    for option in ("link", "link_error", "chain"):
        for each in options.get(option, ()):
            found += list(nested(each))
    return found + list(nested(options.get("chord")))


def test_every_follower_has_its_id_down_to_links_of_links(app: Celery, plain: Celery) -> None:
    submit, add = app.tasks[SUBMIT_TASK], plain.tasks["plain.add"]
    linked = submit.s("acme")
    linked.link(add.s(1))
    composed = chain(add.s(1), group(submit.s("acme"), add.s(2)), submit.s("acme"))
    canvas = pin(app, SUBMIT_TASK, {"link": [linked, composed], "link_error": add.si(1, 2)})
    # Then each has one of its own, and no original was changed
    found = ids(canvas)
    assert len(found) >= 7
    assert all(found)
    assert "task_id" not in linked.options
    assert not any("task_id" in s["options"] for s in nested(composed))
    # And what was pinned stays as it is when it is pinned again
    again = pin(app, SUBMIT_TASK, {"link": unpin(canvas)["link"]})
    kept = [s["options"]["task_id"] for s in _signatures({"link": unpin(canvas)["link"]})]
    assert set(ids(again)) == set(kept)


def test_ordinary_tasks_keep_the_queue_of_their_own_app(app: Celery, plain: Celery) -> None:
    plain.conf.task_routes = {"plain.xsum": {"queue": "sums"}}
    add, xsum = plain.tasks["plain.add"], plain.tasks["plain.xsum"]
    body = chord([app.tasks[SUBMIT_TASK].s("acme", 1)], xsum.s())
    given = [add.s(1), body, add.s(1).set(queue="mine"), app.signature("who.knows")]
    canvas = pin(app, SUBMIT_TASK, {"link": given})
    queues = {
        (s["task"], s["options"].get("queue"))
        for s in _signatures(unpin(canvas))
        if s.get("subtask_type") is None
    }
    assert queues == {
        ("plain.add", "plain"),
        ("plain.xsum", "sums"),
        ("plain.add", "mine"),
        ("who.knows", "celery"),
        (SUBMIT_TASK, None),
    }


def test_nothing_is_kept_of_a_task_that_nothing_follows(app: Celery) -> None:
    assert pin(app, SUBMIT_TASK, {"link": None, "chain": [], "group_id": "g"}) == b""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"link": 7}, "not a signature"),
        ({"chain": ["add"]}, "not a signature"),
        ({"chord": {"no": "task"}}, "not a signature"),
    ],
)
def test_what_is_no_signature_is_refused(app: Celery, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidTask, match=said):
        app.tasks[SUBMIT_TASK].apply_async(("acme", 1), **options)


def test_what_cannot_be_sent_or_called_later_is_refused(app: Celery, plain: Celery) -> None:
    add, called = plain.tasks["plain.add"], plain.tasks["plain.called"]
    with pytest.raises(InvalidTask, match="cannot be sent"):
        pin(app, SUBMIT_TASK, {"link": add.s(object())})
    with pytest.raises(InvalidTask, match=r"request, exc, traceback"):
        pin(app, SUBMIT_TASK, {"link_error": called.s()})
    # One whose other arguments are given already is called with the id
    assert pin(app, SUBMIT_TASK, {"link_error": called.s(1, 2)})
