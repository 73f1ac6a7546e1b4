"""What attempts used of models: counted once for each, whatever follows."""

from __future__ import annotations

from msgspec.structs import replace

from godel_tasks.dispatch.outcome import Outcome, celery_meta, decode_outcome, encode_outcome
from godel_tasks.domain.attempt import Usage
from godel_tasks.domain.tenant import TenantStatus
from tests.cell import Cell, back, hold, retry, success

USED = Usage(100, 20, 3, 4, 0.000123456789, "m", "p")


def _status(cell: Cell, tenant: str = "acme") -> TenantStatus:
    status = cell.run(cell.tenants.status(tenant))
    assert status is not None
    return status


def _sums(cell: Cell, tenant: str = "acme") -> tuple[int, int, int, int]:
    status = _status(cell, tenant)
    nanos = round(status.cost_usd * 1_000_000_000)
    return status.tokens_in, status.tokens_out, status.tokens_cached, nanos


def test_every_attempt_that_used_something_counts(cell: Cell) -> None:
    # Given held tasks
    cell.tenant("acme")
    cell.submit("acme", *(cell.task() for _ in range(4)))
    cell.dispatcher("d1")
    a, b, c, d = cell.take("d1", 4)
    # When one succeeds, one is retried, one is held, and one used nothing that is known
    settlements = [replace(s, usage=USED) for s in (success(a), retry(b), hold(c))]
    cell.settle("d1", *settlements, success(d))
    # Then three attempts count
    assert _sums(cell) == (300, 60, 21, 3 * 123_457)
    assert _status(cell).tokens == 381


def test_a_repeat_and_a_stale_settlement_count_nothing(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task())
    cell.dispatcher("d1", "d2")
    (held,) = cell.take("d1", 1)
    settlement = replace(success(held), usage=USED)
    command = cell.queue.settle(dispatcher="d1", sequence=1, settlements=[settlement])
    assert cell.run(command) == (True,)
    # When the same batch comes again, and somebody else settles the same task
    assert cell.run(command) == (True,)
    other = cell.queue.settle(dispatcher="d2", sequence=1, settlements=[settlement])
    assert cell.run(other) == (False,)
    # Then it counted once
    assert _sums(cell) == (100, 20, 7, 123_457)


def test_a_task_that_is_cancelled_while_it_runs_has_cost_what_it_has_cost(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task())
    cell.dispatcher("d1")
    (held,) = cell.take("d1", 1)
    cell.cancel(held.record.task_id)
    cell.settle("d1", replace(back(held), usage=USED))
    assert _sums(cell) == (100, 20, 7, 123_457)


def test_tenants_pay_for_themselves(cell: Cell) -> None:
    cell.tenant("acme")
    cell.tenant("other")
    cell.submit("acme", cell.task())
    cell.submit("other", cell.task())
    cell.dispatcher("d1")
    settlements = [
        replace(success(held), usage=USED if held.record.tenant_id == "acme" else None)
        for held in cell.take("d1", 2)
    ]
    cell.settle("d1", *settlements)
    assert _sums(cell) == (100, 20, 7, 123_457)
    assert _sums(cell, "other") == (0, 0, 0, 0)


def test_the_result_says_what_the_last_attempt_used() -> None:
    outcome = Outcome("S", "acme", 1_700_000_000_000, "gw-1", 2, 5.0, b'"x"', usage=USED)
    meta = celery_meta("t", outcome)
    assert b'"usage":{"input_tokens":100,"output_tokens":20,"cache_read_tokens":3' in meta
    # The same bytes when it is published again from the outbox
    assert celery_meta("t", decode_outcome(encode_outcome(outcome))) == meta
    # And an entry of before, without the field, is read as ever
    assert decode_outcome(encode_outcome(replace(outcome, usage=None))).usage is None
    assert b"usage" not in celery_meta("t", replace(outcome, usage=None))
