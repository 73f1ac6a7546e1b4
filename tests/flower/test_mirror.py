"""The mirror, told of tasks, and what a monitor on the same broker hears of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from godel_tasks.celery import GodelCelery, make_app
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.events import (
    AttemptEnded,
    EventBus,
    TaskClaimed,
    TaskPublished,
    TaskRetried,
    TaskStarted,
)
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.worker import outlet
from godel_tasks.worker.mirror import EventMirror
from tests.flower.listening import monitoring
from tests.helpers import wait_until

WHOLE = {"sent", "received", "started"}


class Site:
    """A mirror as in a worker whose monitor asked for events, and a bus that tells it."""

    def __init__(self, server: EmbeddedServer, rate: float, remembers: int = 10_000) -> None:
        self.app: GodelCelery = make_app("tests.flower")
        self.app.godel = Runtime(load_settings(redis_url=server.url, data_dir=server.data_dir))
        self.consumer = SimpleNamespace(event_dispatcher=SimpleNamespace(groups={"worker", "task"}))
        worker = SimpleNamespace(app=self.app, hostname="d1@here", consumer=self.consumer)
        self.mirror = EventMirror(worker, rate, remembers)
        self.bus = EventBus()
        self.mirror.watch(self.bus)
        self.mirror.outlet.start()

    def close(self) -> None:
        self.mirror.outlet.stop()
        self.app.close()

    def claim(self, task_id: str, attempt: int = 1) -> None:
        who = (task_id, "acme", attempt, "gw-1")
        self.bus.emit(TaskClaimed(*who, time.time(), 0.1, "", {}))
        self.bus.emit(TaskStarted(*who, time.time()))

    def end(self, task_id: str, state: str = "SUCCEEDED", attempt: int = 1) -> None:
        now, who = time.time(), (task_id, "acme", attempt, "gw-1")
        self.bus.emit(AttemptEnded(*who, state.lower(), "", "", now, now))
        error = ("", "", "") if state == "SUCCEEDED" else ("E", "", "no")
        self.bus.emit(TaskPublished(*who, state, 0.2, now, "", b"1", *error, ""))

    def retry(self, task_id: str) -> None:
        who = (task_id, "acme", 1, "gw-1")
        self.bus.emit(TaskRetried(*who, "again", time.time(), 0.5, "", "E", "", "no", ""))


@pytest.fixture
def sites(server: EmbeddedServer) -> Iterator[Any]:
    made: list[Site] = []

    def make(rate: float = 1_000, **kwargs: Any) -> Site:
        made.append(Site(kwargs.pop("server", server), rate, **kwargs))
        return made[-1]

    yield make
    for site in made:
        site.close()


def test_many_events_travel_in_few_messages_in_their_order(sites: Any) -> None:
    site: Site = sites()
    with monitoring(site.app) as monitor:
        # When two hundred tasks run
        ids = [f"t{i}" for i in range(200)]
        for task_id in ids:
            site.claim(task_id)
            site.end(task_id)
        wait_until(lambda: len(monitor.events) == 800, description="all are heard")
        # Then each is told from its begin to its end
        expected = ["sent", "received", "started", "succeeded"]
        assert monitor.by_task() == dict.fromkeys(ids, expected)
        # And hundreds of events share a message
        assert monitor.messages <= 8
        # And each has what Flower wants, with a clock that goes on
        last = [event for event in monitor.events if event["type"] == "task-succeeded"]
        assert {event["hostname"] for event in last} == {"d1@here"}
        clocks = [event["clock"] for event in last]
        assert clocks == sorted(clocks)
        assert abs(last[0]["timestamp"] - time.time()) < 60


def test_above_the_rate_tasks_are_shown_whole_or_not_at_all_and_trouble_always(
    sites: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "CALM_S", 0.4)
    monkeypatch.setattr(outlet, "LOOK_EVERY_S", 0.1)
    site: Site = sites(20)
    odd = {"FAILED": "failed", "CANCELLED": "revoked"}
    with monitoring(site.app) as monitor, capture_logs() as logs:
        # When five hundred tasks run at once, and of each fifty one fails, is cancelled, is retried
        for i in range(500):
            site.claim(f"t{i}")
        for i in range(500):
            if i % 50 == 2:
                site.retry(f"t{i}")
                site.claim(f"t{i}", attempt=2)
            site.end(f"t{i}", ["FAILED", "CANCELLED"][i % 50] if i % 50 < 2 else "SUCCEEDED")
        site.claim("last", attempt=2)
        wait_until(lambda: "last" in monitor.by_task(), description="all are sent")
        seen = monitor.by_task()
        # Then of those that go well about the rate is shown
        trouble = {f"t{i}" for i in range(500) if i % 50 < 3}
        well = seen.keys() - trouble - {"last"}
        assert 10 <= len(well) <= 21
        # And those in trouble are shown, each of them
        assert trouble <= seen.keys()
        # And whoever is shown is whole
        for task_id in well | trouble:
            assert set(seen[task_id]) >= WHOLE, task_id
            number = int(task_id[1:]) % 50
            end = list(odd.values())[number] if number < 2 else "succeeded"
            assert seen[task_id][-1] == end
            assert ("retried" in seen[task_id]) == (number == 2)
        # And the log says so, once, and when it is over
        assert [line["event"] for line in logs] == ["events.sampled"]
        assert logs[0]["tasks_per_s"] == 20
        wait_until(lambda: len(logs) == 2, description="sampling is over")
        hidden = 500 - len(well | trouble)
        assert logs[1]["event"] == "events.whole"
        assert hidden <= logs[1]["hidden"] <= hidden + len(trouble)


def test_nothing_is_built_until_a_monitor_asks_and_a_draining_worker_goes_on(sites: Any) -> None:
    site: Site = sites()
    # Given a worker that was started without -E
    site.consumer.event_dispatcher.groups = {"worker"}
    assert not site.bus.wanted(TaskClaimed)
    # When a monitor asks for events
    site.consumer.event_dispatcher.groups.add("task")
    assert site.bus.wanted(TaskClaimed)
    # And the worker drains: Celery has ended its own events by then
    site.consumer.event_dispatcher = None
    # Then the last tasks are told to their end, and the worker goes offline after them
    with monitoring(site.app) as monitor:
        site.claim("late")
        site.end("late")
        site.mirror.outlet.stop()
        wait_until(lambda: len(monitor.events) == 5, description="all are heard")
        types = [event["type"] for event in monitor.events]
        assert types[-2:] == ["task-succeeded", "worker-offline"]


def test_what_is_remembered_of_tasks_is_bounded(sites: Any) -> None:
    # Given a mirror whose dispatcher hands everything back: no task ends here
    site: Site = sites(0, remembers=100)
    for i in range(1_000):
        site.claim(f"t{i}")
    assert len(site.mirror._tasks) == 100


def test_a_broker_that_is_away_holds_nobody_up_and_costs_bounded_memory(
    sites: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlet, "BACKLOG", 400)
    monkeypatch.setattr(outlet, "TRY_AGAIN_S", 0.1)
    # Given a server of its own, which ends
    server = EmbeddedServer(tmp_path)
    server.start()
    site: Site = sites(1_000_000, server=server)
    server.stop()
    with capture_logs() as logs:
        # When thousands of tasks run
        took = threading.Event()

        def many() -> None:
            for i in range(3_000):
                site.claim(f"t{i}")
                site.end(f"t{i}", "FAILED")
            took.set()

        threading.Thread(target=many, daemon=True).start()
        # Then nobody waits for the broker
        assert took.wait(5)
        wait_until(lambda: logs, description="the log says it")
        assert site.mirror.outlet._backlog.qsize() <= 400
        assert [line["event"] for line in logs] == ["events.held_up"]
        # When it is back
        server.start()
        # Then what was kept is sent, and the log says what was not
        wait_until(lambda: len(logs) == 3, description="it flows again", timeout=10)
        assert [line["event"] for line in logs[1:]] == ["events.flow_again", "events.lost"]
        assert logs[2]["events"] > 1_000  # of 12,000
    # And what happens now is heard
    with monitoring(site.app) as monitor:
        site.claim("new")
        wait_until(lambda: "new" in monitor.by_task(), description="it is heard")
    site.close()
    server.stop()
