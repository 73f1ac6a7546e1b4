"""End to end: the fixture `godel_worker`, here as its context manager."""

from __future__ import annotations

import threading

import pytest
import redis
from celery import chain

from godel_tasks import app, submit_task
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.errors import WorkerError
from godel_tasks.testing import live
from tests.helpers import wait_until


def clients_of(server: EmbeddedServer) -> set[str]:
    """Ids of whoever is connected, but for this look."""
    with redis.Redis.from_url(server.url) as client:
        return {item["id"] for item in client.client_list()} - {str(client.client_id())}


def test_a_handler_runs_on_an_instance_and_its_producer_gets_the_result(
    server: EmbeddedServer,
) -> None:
    # Given a fleet of two, one of which has a GPU
    before = set(threading.enumerate())
    connected = clients_of(server)
    ran: list[object] = []

    def plain(payload: dict[str, int], context: object) -> int:
        ran.append(context)
        return payload["n"] + 1

    async def on_gpu(payload: dict[str, int]) -> str:
        return f"gpu {payload['n']}"

    with live(server, max_attempts=1) as fleet:
        fleet(plain, tenants=["acme"])
        fleet(on_gpu, instance_id="gpu-1", capabilities={"gpu": "yes"})
        # When tasks are submitted
        first = submit_task.delay("acme", {"n": 1})
        second = submit_task.delay("acme", {"n": 2}, capabilities={"gpu": "yes"})
        bad = submit_task.delay("acme", {}, instance="test-1")
        # Then each runs where it can
        assert second.get(timeout=20) == "gpu 2"
        assert second.instance == "gpu-1"
        assert first.get(timeout=20) in (2, "gpu 1")
        with pytest.raises(KeyError):
            bad.get(timeout=20)
        assert bad.attempts == 1
        assert [context.tenant_id for context in ran] == ["acme"] * len(ran)  # type: ignore[attr-defined]
        status = fleet.status("acme")
        assert (status.succeeded, status.failed) == (2, 1)
    # And nothing is left: no thread, no connection, no runtime on the app
    left: set[threading.Thread] = set()

    def ended() -> bool:
        left.clear()
        left.update(set(threading.enumerate()) - before)
        return not left

    wait_until(ended, description=f"these have ended: {left}")
    assert "godel" not in vars(app) or app.godel is not fleet.runtime
    assert clients_of(server) <= connected


def test_a_test_that_leaves_a_task_running_ends_all_the_same(server: EmbeddedServer) -> None:
    # Given a handler that does not return
    begun, go_on = threading.Event(), threading.Event()

    def hang(payload: object) -> None:
        begun.set()
        go_on.wait(30)

    with live(server) as fleet:
        fleet(hang, tenants=["acme"])
        submit_task.delay("acme", 1)
        assert begun.wait(20)
    # When the test is over, the next one starts from nothing
    go_on.set()
    with live(server) as fleet:
        fleet(lambda payload: payload, tenants=["other"])
        assert submit_task.delay("other", 5).get(timeout=20) == 5


def test_without_a_server_it_starts_one_of_its_own() -> None:
    with live() as fleet:
        with pytest.raises(WorkerError, match="payload"):
            fleet(lambda: None)
        fleet("tests.workers.handlers:act", tenants=["acme"])
        result = chain(submit_task.s("acme", {}), submit_task.s("acme"))()
        assert result.get(timeout=20)["instance"] == "test-1"
        assert result.parent.state == "SUCCESS"
