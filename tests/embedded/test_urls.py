"""How the other processes find the server, in the spelling that each library wants."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import redis
from celery import Celery
from redbeat.schedulers import get_redis

from godel_tasks.embedded import EmbeddedServer, ServerUrls, for_celery, for_redis, resolve_urls
from godel_tasks.errors import StoreUnavailable
from godel_tasks.settings import Settings
from tests.helpers import wait_until


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


@pytest.mark.parametrize(
    ("redis_py", "celery"),
    [
        ("unix:///d/redis.sock?db=0", "redis+socket:///d/redis.sock?virtual_host=0"),
        ("unix://:pw@/d/a%20b?db=2", "redis+socket://:pw@/d/a%20b?virtual_host=2"),
        ("redis://:pw@host:1/3", "redis://:pw@host:1/3"),
    ],
)
def test_the_two_spellings_say_the_same(redis_py: str, celery: str) -> None:
    assert for_celery(redis_py) == for_celery(celery) == celery
    assert for_redis(celery) == for_redis(redis_py) == redis_py


def test_explicit_urls_need_no_server() -> None:
    # Given all on one, save the results
    given = settings(redis_url="redis://one/0", result_url="unix:///r.sock")
    assert resolve_urls(given) == ServerUrls(
        state="redis://one/0",
        broker="redis://one/0",
        result="redis+socket:///r.sock?virtual_host=0",
        redbeat="redis://one/0",
    )
    # And redbeat goes where the broker is
    given = settings(redis_url="redis://one/0", broker_url="redis://two/0")
    assert resolve_urls(given).redbeat == "redis://two/0"


def test_without_urls_the_running_server_is_found(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        assert resolve_urls(settings(data_dir=tmp_path)) == server.urls
        # And what is explicit stays
        mixed = resolve_urls(settings(data_dir=tmp_path, broker_url="redis://two/0"))
        assert (mixed.broker, mixed.state) == ("redis://two/0", server.url)


def test_when_nothing_runs_the_error_says_how_to_start(tmp_path: Path) -> None:
    # Given a folder where no server ever ran
    with pytest.raises(StoreUnavailable, match="nothing runs") as caught:
        resolve_urls(settings(data_dir=tmp_path))
    assert "`godel up`" in str(caught.value)
    # Or one whose server was killed and left its server.json
    with EmbeddedServer(tmp_path) as server:
        pid = server.info.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not server.alive(), description="the server is dead")
        with pytest.raises(StoreUnavailable, match=f"process {pid}, which has ended"):
            resolve_urls(settings(data_dir=tmp_path))


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's call
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_celery_and_redbeat_get_through(tmp_path: Path, transport: str) -> None:
    # Given a server in a folder that needs quoting
    with EmbeddedServer(
        tmp_path / "a b%", transport="tcp" if transport == "tcp" else "auto"
    ) as server:
        assert server.info.transport == transport
        app = Celery(broker=server.urls.broker, backend=server.urls.result)
        app.conf.redbeat_redis_url = server.urls.redbeat
        # When Celery sends a message and stores a result, and redbeat looks
        app.send_task("anything")
        app.backend.store_result("id", {"n": 1}, "SUCCESS")
        # Then all of it is on that server
        assert app.AsyncResult("id").get(timeout=2) == {"n": 1}
        assert get_redis(app).llen("celery") == 1
        with redis.Redis.from_url(server.url) as client:
            assert client.exists("celery-task-meta-id")
        app.close()
