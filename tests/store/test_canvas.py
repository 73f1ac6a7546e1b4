"""What follows a task's end is kept as long as the task, and goes with its outbox entry."""

from __future__ import annotations

from typing import Any

import msgspec

from godel_tasks.domain.task import NewTask
from godel_tasks.store.executor import connect_sync
from tests.cell import Cell
from tests.keyleaks import leaks


def followed(cell: Cell, task_id: str, what: bytes, **fields: Any) -> NewTask:
    return msgspec.structs.replace(cell.task(task_id, **fields), canvas=what)


def kept(cell: Cell, *task_ids: str) -> dict[str, bytes]:
    return cell.run(cell.leases.canvas(task_ids=task_ids))


def test_only_tasks_that_something_follows_are_kept_note_of(cell: Cell) -> None:
    # Given a tenant
    cell.tenant("acme")
    # When three come in one call, a plain one between two that something follows
    cell.submit(
        "acme",
        followed(cell, "a", b"next a"),
        cell.task("b"),
        followed(cell, "c", b"next c", eta="+500"),
    )
    # Then each is found by its id
    assert kept(cell, "a", "b", "c") == {"a": b"next a", "c": b"next c"}


def test_what_is_refused_or_known_already_leaves_no_note(cell: Cell) -> None:
    # Given room for one, which is taken
    cell.tenant("acme", max_queue=1)
    cell.submit("acme", followed(cell, "a", b"first", digest="d"))
    # When it comes again with other followers, and another one that finds no room
    cell.submit("acme", followed(cell, "a", b"second", digest="d"), followed(cell, "b", b"late"))
    # Then what came first holds
    assert kept(cell, "a", "b") == {"a": b"first"}


def test_the_note_of_a_cancelled_task_outlives_it_until_it_is_published(
    cell: Cell, redis_url: str
) -> None:
    # Given a waiting task that something follows
    cell.tenant("acme")
    cell.submit("acme", followed(cell, "a", b"next"))
    # When it is cancelled
    cell.cancel("a")
    # Then the publisher still finds what follows
    assert kept(cell, "a") == {"a": b"next"}
    # And nothing is left once it has followed
    cell.run(cell.leases.forget_canvas(task_ids=["a"]))
    cell.sweep()
    cell.dispatcher("d1")
    cell.publish_all("d1")
    client = connect_sync(redis_url)
    assert leaks(client, quiet=True) == []
    client.close()
