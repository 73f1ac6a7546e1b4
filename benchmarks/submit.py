"""Submit, beside Celery's own: `python -m benchmarks.submit [--json]`.

    godel_delay_per_s               submit_task.delay of a small payload, one producer
    celery_delay_per_s              Celery's .delay of a no-op, with its best documented settings
    ratio                           the first over the second
    bulk_per_s                      submit_tasks
    celery_delay_with_result_per_s  Celery's .delay whose result can be read, as Godel's can

All take turns on one server; each figure is the median of five rounds. Nobody consumes: the figures
are of the producer. Queues are emptied between turns.

Celery's best settings for a producer on Redis, from its guide to optimising and its table of
settings: results ignored (its Redis backend subscribes for each otherwise), a pool that keeps the
connection, no sent event, no publish retry policy, no compression, transient messages, hiredis.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery

from benchmarks.calibrate import calibrate
from benchmarks.common import ROUNDS, emit, machine, own_server, rate, side_by_side
from godel_tasks.embedded import EmbeddedServer

TENANT = "acme"
QUEUE = "rival"
#: Calls of `.delay` in a turn, and tasks of one `submit_tasks`.
DELAYS = 2_000
BULK = 20_000


def rival(server: EmbeddedServer, *, ignore_result: bool) -> Any:
    """A no-op task of an app of plain Celery."""
    app = Celery(
        "rival", broker=server.urls.broker, backend=server.urls.result, set_as_current=False
    )
    app.conf.update(
        task_default_queue=QUEUE,
        task_default_delivery_mode="transient",
        task_ignore_result=ignore_result,
        task_publish_retry=False,
        task_send_sent_event=False,
        task_compression=None,
        task_serializer="json",
        broker_pool_limit=10,
        broker_connection_retry_on_startup=True,
        enable_utc=True,
    )

    # Not shared: each of the two apps has a task of its own under the name.
    @app.task(name="rival.noop", shared=False)
    def noop(tenant_id: str, payload: dict[str, int]) -> None:
        """Does nothing; nobody runs it here."""

    return noop


def contenders(
    server: EmbeddedServer, *, delays: int = DELAYS, in_bulk: int = BULK
) -> dict[str, Callable[[], float]]:
    """Each submits a turn's worth and says how many a second."""
    # The default app looks its server up once, so it must not be imported before there is one.
    from godel_tasks import submit_task, submit_tasks

    ignoring, reading = rival(server, ignore_result=True), rival(server, ignore_result=False)
    items = [{"tenant_id": TENANT, "payload": {"n": 1}} for _ in range(in_bulk)]
    client = redis.Redis.from_url(server.url)

    def one_by_one(delay: Callable[[str, dict[str, int]], object]) -> Callable[[], float]:
        def calls() -> None:
            for _ in range(delays):
                delay(TENANT, {"n": 1})

        return emptied(lambda: rate(delays, calls))

    def emptied(turn: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            client.flushall()
            add_tenant(max_queue=delays + in_bulk)
            return turn()

        return run

    def bulk() -> None:
        outcomes = submit_tasks(items)
        if refused := next((one for one in outcomes if not one.ok), None):
            raise RuntimeError(f"refused: {refused.error}")

    return {
        "godel_delay_per_s": one_by_one(submit_task.delay),
        "celery_delay_per_s": one_by_one(ignoring.delay),
        "celery_delay_with_result_per_s": one_by_one(reading.delay),
        "bulk_per_s": emptied(lambda: rate(in_bulk, bulk)),
    }


def add_tenant(*, max_queue: int) -> None:
    from godel_tasks import app
    from godel_tasks.domain.tenant import TenantConfig

    runtime = app.godel
    config = TenantConfig(TENANT, max_queue=max_queue)
    runtime.store.run(runtime.cell_of(TENANT).tenants.put(config))


def measure(*, rounds: int = ROUNDS, delays: int = DELAYS, in_bulk: int = BULK) -> dict[str, Any]:
    """All figures of a run of its own server."""
    with own_server() as server:
        turns = contenders(server, delays=delays, in_bulk=in_bulk)
        figures = side_by_side(turns, rounds=rounds)
        calibration = calibrate(server.url)
    return {
        "godel_delay_per_s": figures["godel_delay_per_s"],
        "celery_delay_per_s": figures["celery_delay_per_s"],
        "ratio": round(figures["godel_delay_per_s"] / figures["celery_delay_per_s"], 2),
        "bulk_per_s": figures["bulk_per_s"],
        "celery_delay_with_result_per_s": figures["celery_delay_with_result_per_s"],
        "rounds": rounds,
        "calibration": calibration,
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns that count (5)")
    parser.add_argument("--delays", type=int, default=DELAYS, help="calls of .delay in a turn")
    parser.add_argument("--bulk", type=int, default=BULK, help="tasks of one submit_tasks")
    options = parser.parse_args()
    figures = measure(rounds=options.rounds, delays=options.delays, in_bulk=options.bulk)
    emit(figures, as_json=options.json)


if __name__ == "__main__":
    main()
