"""A server that forgot the scripts (a restart, SCRIPT FLUSH) costs a round trip, no error."""

from __future__ import annotations

import pytest

from godel_tasks.errors import StoreUnavailable
from godel_tasks.store.executor import AsyncExecutor, SyncExecutor, connect_async, connect_sync
from tests.cell import Cell


def test_a_forgotten_script_is_loaded_again(cell: Cell) -> None:
    # Given a tenant, and a server that knows the scripts
    cell.tenant("acme")
    assert cell.submit("acme", count=1).depth == 1
    # When it forgets them
    cell.server("SCRIPT", "FLUSH")
    # Then the next call works, and was made once
    assert cell.submit("acme", count=1).depth == 2


def test_a_pipeline_makes_only_the_forgotten_calls_again(cell: Cell) -> None:
    # Given a server that knows put_tenant, and not submit
    cell.tenant("acme")
    cell.server("SCRIPT", "FLUSH")
    cell.tenant("other")
    # When both are in one pipeline, with a plain command
    tasks = [cell.task()]
    replies = cell.executor.pipeline(
        [
            cell.tenants.change("acme", {"weight": "2"}),
            cell.queue.submit(tenant_id="acme", tasks=tasks, check_settled=False),
            cell.tenants.status("other"),
            cell.queue.submit(tenant_id="other", tasks=[cell.task()], check_settled=False),
        ]
    )
    # Then each has its own reply, in order
    assert replies[0] == "changed"
    assert [replies[1].depth, replies[3].depth] == [1, 1]
    assert replies[2].config.tenant_id == "other"
    # And each had its effect once
    assert cell.status("acme").submitted == 1


async def test_the_asynchronous_executor_does_the_same(cell: Cell, redis_url: str) -> None:
    cell.tenant("acme")
    client = connect_async(redis_url)
    executor = AsyncExecutor(client)
    submit = cell.queue.submit(tenant_id="acme", tasks=[cell.task()], check_settled=False)
    again = cell.queue.submit(tenant_id="acme", tasks=[cell.task()], check_settled=False)
    # When the server forgets the scripts before a call, and before a pipeline
    cell.server("SCRIPT", "FLUSH")
    assert (await executor.run(submit)).depth == 1
    cell.server("SCRIPT", "FLUSH")
    replies = await executor.pipeline([again, cell.tenants.status("acme"), submit])
    # Then nothing is lost and nothing is done twice: the last repeats a task that is there
    assert replies[0].depth == 2
    # And what was no forgotten script ran first
    assert replies[1].submitted == 1
    assert [letter.value for letter in replies[2].admissions] == ["e"]
    await executor.close()


def test_nothing_is_repeated_when_the_server_is_gone() -> None:
    # Given a client of a port where nobody listens
    executor = SyncExecutor(connect_sync("redis://127.0.0.1:1/0", answer_timeout_s=0.5))
    # Then the driver's error comes out as ours
    with pytest.raises(StoreUnavailable, match="did not answer"):
        executor.run(Cell(executor).tenants.names())
    with pytest.raises(StoreUnavailable):
        executor.pipeline([Cell(executor).tenants.names()] * 2)
    executor.close()
