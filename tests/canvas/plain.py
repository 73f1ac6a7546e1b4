"""An ordinary Celery app beside Godel: its tasks, its queue, its worker."""

from __future__ import annotations

from typing import Any, cast

from celery import Celery

from godel_tasks.celery import GodelCelery

QUEUE = "plain"


def make_plain(home: GodelCelery) -> Celery:
    """The app; `submit_task` of `home` is one of its tasks, too."""
    urls = home.godel.urls
    app = Celery("plain", broker=urls.broker, backend=urls.result, set_as_current=False)
    app.conf.task_default_queue = QUEUE
    home.add_to(app)

    @app.task(name="plain.add", shared=False)
    def add(x: float, y: float) -> float:
        return x + y

    @app.task(name="plain.xsum", shared=False)
    def xsum(numbers: list[float]) -> float:
        return sum(numbers)

    @app.task(name="plain.note", shared=False)
    def note(what: Any, key: str) -> Any:
        """Leaves a trace in Redis, one per run."""
        client = cast("Any", app.backend).client
        client.rpush(key, str(what))
        client.expire(key, 600)
        return what

    @app.task(name="plain.broken", shared=False)
    def broken(_what: Any = None) -> None:
        raise ValueError("broken")

    @app.task(name="plain.called", shared=False)
    def called(request: Any, error: Any, trace: Any) -> None:
        """An errback that wants more than an id."""

    return app
