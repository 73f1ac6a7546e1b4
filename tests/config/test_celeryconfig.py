"""config/celeryconfig.py: every name is one that Celery or redbeat reads, and it works on a real
server."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from redbeat.schedulers import RedBeatScheduler, get_redis

from godel_tasks.embedded import EmbeddedServer

FILE = Path(__file__).parents[2] / "config" / "celeryconfig.py"
#: Read by Celery's Redis backend or by redbeat without being in Celery's table of settings.
ELSEWHERE = {
    "visibility_timeout",
    "redis_backend_health_check_interval",
    "redbeat_lock_timeout",
    "redbeat_redis_options",
}


@pytest.fixture
def config() -> dict[str, Any]:
    return {k: v for k, v in runpy.run_path(str(FILE)).items() if not k.startswith("_")}


def test_every_name_is_a_setting_of_this_celery(config: dict[str, Any]) -> None:
    assert config.keys() - DEFAULTS.keys() == ELSEWHERE


def test_what_depends_on_the_place_is_left_to_the_app(config: dict[str, Any]) -> None:
    assert not config.keys() & {
        "broker_url",
        "result_backend",
        "redbeat_redis_url",
        "result_expires",
    }


def test_the_visibility_timeout_is_the_same_in_its_three_places(config: dict[str, Any]) -> None:
    places = [config, config["broker_transport_options"]]
    places.append(config["result_backend_transport_options"])
    assert {place["visibility_timeout"] for place in places} == {600}


def test_importing_it_needs_nothing_of_the_repository(tmp_path: Path) -> None:
    # Given the file alone, as the wheel carries it
    (tmp_path / "alone.py").write_bytes(FILE.read_bytes())
    done = subprocess.run([sys.executable, "-S", "-c", "import alone"], cwd=tmp_path, check=False)
    assert done.returncode == 0


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")  # Celery's call
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_broker_results_and_schedules_work_with_it(
    config: dict[str, Any], tmp_path: Path, transport: str
) -> None:
    with EmbeddedServer(tmp_path, transport="tcp" if transport == "tcp" else "auto") as server:
        # Given an app with this configuration, on either transport
        urls = server.urls
        app = Celery(broker=urls.broker, backend=urls.result, set_as_current=False)
        app.conf.update(config, redbeat_redis_url=urls.redbeat, result_expires=60)
        # When it publishes, stores a result, and beat looks at its schedule
        app.send_task("anything")
        app.backend.store_result("id", 1, "SUCCESS")
        scheduler = RedBeatScheduler(app=app, lazy=True)
        # Then all of it is there
        assert get_redis(app).llen("celery") == 1
        assert app.AsyncResult("id").get(timeout=2) == 1
        assert (scheduler.lock_timeout, scheduler.max_interval) == (15, 5)
        app.close()
