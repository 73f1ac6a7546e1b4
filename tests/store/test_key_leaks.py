"""Every key has a TTL or a reason; when all is done, nothing of the tasks is left."""

from __future__ import annotations

from godel_tasks.store.executor import connect_sync
from tests.cell import Cell, back, failure, hold, retry, success
from tests.keyleaks import leaks


def test_nothing_is_left_when_all_is_settled_swept_and_published(
    cell: Cell, redis_url: str
) -> None:
    # Given tasks that took every way through the queue
    for name in ("acme", "other"):
        cell.tenant(name)
        cell.submit(name, *(cell.task(level=i % 4, digest=f"d{i}") for i in range(12)))
        cell.submit(name, cell.task(eta="+500"), cell.task(start_by="+700"))
        cell.submit(name, cell.task(eta="+9000", start_by="+800", deadline="+20000"))
        cell.submit(name, *(cell.task(need="gpu", start_by="+90000") for _ in range(4)))
    cell.dispatcher("d1", "d2")
    cell.run(cell.leases.sleep(dispatcher="d2"))
    taken = list(cell.take("d1", 14))
    cell.settle("d1", *map(success, taken[:4]), *(failure(t, bury=True) for t in taken[4:6]))
    cell.settle("d1", retry(taken[6]), retry(taken[7], after_ms=300), back(taken[8]))
    cell.settle("d1", hold(taken[9]), hold(taken[10]), hold(taken[11], after_ms=1000))
    cell.run(cell.queue.resolve(task_id=taken[9].record.task_id, verdict="fail"))
    cell.cancel(taken[10].record.task_id)
    cell.cancel(taken[12].record.task_id)
    cell.keep_alive("d2", ms=4000)
    cell.settle("d2", *map(back, cell.bury("d1", by="d2")))
    # When all that waits runs, and what nobody can run is buried or cancelled
    for task_id in [f.decode() for f in cell.server("HKEYS", cell.key("index"))]:
        if (entry := cell.entry(task_id)) and entry.class_id == "shared.gpu":
            cell.cancel(task_id)
    while cell.due() or cell.server("EXISTS", cell.key("index")):
        cell.succeed("d2", *cell.take("d2", 100))
        cell.pass_time(1000)
    cell.sweep()
    cell.publish_all("d2")
    # Then no key is left but those of tenants, dispatchers and dead letters
    client = connect_sync(redis_url)
    assert leaks(client, quiet=True) == []
    client.close()
    for name in ("acme", "other"):
        status = cell.status(name)
        assert (status.depth, status.in_flight) == (0, 0)
        ended = status.succeeded + status.failed + status.expired + status.cancelled
        assert ended == status.submitted == 19
    # And nothing of the dispatchers, once they left
    cell.run(cell.leases.leave(dispatcher="d2"))
    assert not [key for key in cell.all_keys() if "d1" in key or "d2" in key]
    assert not cell.server("EXISTS", *map(cell.key, ("leases", "batches", "settles", "sleepers")))


def test_the_checker_finds_what_does_not_belong(cell: Cell, redis_url: str) -> None:
    client = connect_sync(redis_url)
    # Given keys that the table does not know, of a wrong type, and without the TTL it promises
    client.set("godel:{c00}:mystery", 1)
    client.set("godel:{c00}:index", 1)
    client.hset("godel:{c00}:settled:1", "a", "S -")
    client.set("celery-task-meta-1", "{}")
    client.rpush("godel:{c00}:lane:acme:shared.0:2", "record")
    # Then it names each
    found = "\n".join(leaks(client, quiet=True))
    assert "mystery: the key table does not know it" in found
    assert "index: a string; the key table says hash" in found
    assert "settled:1: no TTL" in found
    assert "celery-task-meta-1: a result without TTL" in found
    assert "lane:acme:shared.0:2: left over" in found
    client.flushall()
    client.close()
