"""The processes of a small Godel: the same lines as in `Procfile` and `docker-compose.yml`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping

from celery import Celery
from celery.utils.nodenames import host_format
from kombu.exceptions import KombuError
from redis import RedisError

from godel_tasks.embedded import ServerUrls
from godel_tasks.settings import Settings
from godel_tasks.supervisor.spec import ProcessSpec

WORKER_FLAGS = ("--without-gossip", "--without-mingle")
FLOWER_HOST = "127.0.0.1"
#: With tenant and instance (kwargs), and the name last: nearly all tasks have the same one.
FLOWER_COLUMNS = "uuid,state,kwargs,received,runtime,worker,retries,name"
#: Seconds on top of a drain in which a worker closes its connections.
CLOSING_S = 5.0
#: Seconds in which a worker has to answer a ping.
PING_TIMEOUT_S = 0.5
#: Whoever asks whether a worker is ready asks again soon.
NO_PATIENCE = {"max_retries": 1, "interval_start": 0, "socket_timeout": 2}


def godel_processes(
    settings: Settings,
    urls: ServerUrls,
    *,
    dispatchers: int = 1,
    flower_port: int | None = 5555,
    env: Mapping[str, str] | None = None,
) -> list[ProcessSpec]:
    """Dispatchers, control, beat and (unless its port is None) flower, in the order to start them.

    `env` is added to the environment of each. Workers are ready when they answer Celery's ping.
    """
    extra = dict(env or {})
    names = [f"dispatcher{n + 1}" for n in range(dispatchers)]
    specs = [
        ProcessSpec(
            name=name,
            role="dispatcher",
            command=celery("-A", "workers.dispatcher", "worker", "-n", f"{name}@%h", *WORKER_FLAGS),
            env=extra,
            stop_timeout_s=settings.drain_timeout_s + CLOSING_S,
            ready=answers_ping(urls.broker, name),
        )
        for name in (["dispatcher"] if dispatchers == 1 else names)
    ]
    specs += [
        ProcessSpec(
            name="control",
            command=celery("-A", "workers.control", "worker", "-n", "control@%h", *WORKER_FLAGS),
            env=extra,
            stop_timeout_s=20.0,
            ready=answers_ping(urls.broker, "control"),
        ),
        ProcessSpec(name="beat", command=celery("-A", "godel_tasks", "beat"), env=extra),
    ]
    if flower_port is not None:
        flags = (
            f"--address={FLOWER_HOST}",
            f"--port={flower_port}",
            f"--tasks-columns={FLOWER_COLUMNS}",
        )
        specs.append(
            ProcessSpec(
                name="flower",
                command=celery("-A", "godel_tasks", "flower", *flags),
                env=extra,
                stop_timeout_s=5.0,
                ready=listens(FLOWER_HOST, flower_port),
            )
        )
    return specs


def celery(*arguments: str) -> tuple[str, ...]:
    """The `celery` command, run by this very interpreter."""
    return (sys.executable, "-m", "celery", *arguments)


def answers_ping(broker_url: str, name: str) -> Callable[[], bool]:
    """A check whether the worker `name@<this host>` answers Celery's ping."""

    def check() -> bool:
        app = Celery(broker=broker_url, set_as_current=False)
        app.conf.broker_transport_options = NO_PATIENCE
        try:
            node = host_format(f"{name}@%h")
            return bool(app.control.ping(destination=[node], timeout=PING_TIMEOUT_S))
        except (KombuError, RedisError, OSError):
            return False
        finally:
            app.close()

    return check


def listens(host: str, port: int) -> Callable[[], bool]:
    """A check whether somebody listens on that port."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((host, port)) == 0

    return check
