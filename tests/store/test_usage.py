"""What attempts used of models: counted once for each, whatever follows."""

from __future__ import annotations

import json
from math import inf, nan

import msgspec
import pytest
from msgspec.structs import astuple, replace

from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.outcome import (
    Outcome,
    celery_meta,
    decode_outcome,
    encode_outcome,
    usage_data,
)
from godel_tasks.dispatch.verdict import settlement_of
from godel_tasks.domain.attempt import Completion, End, Usage
from godel_tasks.domain.tenant import TenantStatus
from godel_tasks.policy.retry import Decision, Next
from tests.cell import Cell, back, failure, hold, retry, success

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
    cell.submit("acme", *(cell.task() for _ in range(5)))
    cell.dispatcher("d1")
    a, b, c, d, e = cell.take("d1", 5)
    # When one succeeds, one fails, one is retried, one is held, and one used nothing that is known
    ends = (success(a), failure(b), retry(c), hold(d))
    cell.settle("d1", *(replace(end, usage=USED) for end in ends), success(e))
    # Then four attempts count
    assert _sums(cell) == (400, 80, 28, 4 * 123_457)
    assert _status(cell).tokens == 508


def test_each_attempt_of_a_task_counts(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task())
    cell.dispatcher("d1")
    # When a task is retried, and its next attempt succeeds
    (first,) = cell.take("d1", 1)
    cell.settle("d1", replace(retry(first), usage=USED))
    (second,) = cell.take("d1", 1)
    assert second.record.attempt == 2
    cell.settle("d1", replace(success(second), usage=USED))
    # Then both have cost
    assert _sums(cell) == (200, 40, 14, 2 * 123_457)


def test_an_owner_of_before_counts_nothing(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task())
    cell.dispatcher("d1")
    (before,) = cell.take("d1", 1)
    cell.settle("d1", back(before))
    (now,) = cell.take("d1", 1)
    # When the end comes under the epoch of before, then under that of now, twice in one batch
    end = replace(success(now), usage=USED)
    assert cell.settle("d1", replace(success(before), usage=USED)) == (False,)
    assert _sums(cell) == (0, 0, 0, 0)
    assert cell.settle("d1", end, end) == (True, False)
    # Then it counted once
    assert _sums(cell) == (100, 20, 7, 123_457)


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
    # And nothing where it is not known
    assert b"usage" not in celery_meta("t", replace(outcome, usage=None))


def test_an_outbox_entry_of_before_there_was_usage_is_read_as_ever() -> None:
    outcome = Outcome("S", "acme", 1_700_000_000_000, "gw-1", 2, 5.0, b'"x"')
    older = msgspec.msgpack.encode(astuple(outcome)[:-1])
    assert decode_outcome(older) == outcome


@pytest.mark.parametrize(
    "odd",
    [
        {"input_tokens": -1},
        {"cache_read_tokens": 10**30},
        {"cost_usd": -0.5},
        {"cost_usd": nan},
        {"cost_usd": inf},
    ],
    ids=str,
)
def test_a_number_that_cannot_be_counts_as_none(cell: Cell, odd: dict[str, float]) -> None:
    # Given two attempts, one on an instance that says something odd about what it used
    cell.tenant("acme")
    cell.submit("acme", count=2)
    cell.dispatcher("d1")
    ends = [
        settlement_of(
            Flight(0, held, "", may_have_run=True),
            Completion(held.record.task_id, 1, "i1", End.OK, b"1", usage=usage),
            Decision(Next.SUCCEED, "it ended"),
            at_ms=1,
            hold_for_ms=0,
        )[0]
        for held, usage in zip(
            cell.take("d1", 2), (replace(USED, output_tokens=5, **odd), USED), strict=True
        )
    ]
    # When they are settled together
    assert cell.settle("d1", *ends) == (True, True)
    # Then all the rest counts, and the result tells what was counted
    assert _status(cell).tokens_out == 25
    told = json.loads(celery_meta("t", decode_outcome(ends[0].data)))["godel"]["usage"]
    assert told == usage_data(replace(USED, output_tokens=5, **dict.fromkeys(odd, 0)))
    assert _status(cell).tokens == USED.tokens + sum(
        value for name, value in told.items() if name.endswith("_tokens")
    )


def test_a_sum_that_is_full_stops_nothing(cell: Cell) -> None:
    # Given a tenant that has cost as much as the server can count
    cell.tenant("acme")
    cell.submit("acme", cell.task())
    cell.dispatcher("d1")
    (held,) = cell.take("d1", 1)
    cell.server("HSET", cell.key("tenant:acme"), "cost_nanos", 2**63 - 1)
    # When one more attempt ends, it is settled all the same
    assert cell.settle("d1", replace(success(held), usage=USED)) == (True,)
    assert _status(cell).succeeded == 1
    assert _status(cell).tokens_out == 20
