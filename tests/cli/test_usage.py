"""What attempts used of models, as commands and results tell it."""

from __future__ import annotations

from msgspec.structs import replace

from godel_tasks.celery import make_app
from godel_tasks.dispatch.outcome import Outcome, encode_outcome, usage_data
from godel_tasks.domain.attempt import Usage
from godel_tasks.results import GodelResult
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.records import HeldTask
from tests.cell import retry, success
from tests.cli.played import PlayedDispatcher, godel, ok

USED = Usage(1200, 34, 0, 0, 0.00126, "m", "p")


def _ends(played: PlayedDispatcher, held: HeldTask, usage: Usage | None, letter: str = "S") -> str:
    """It ends, and has used that; its id."""
    outcome = Outcome(letter, "acme", 1, "gw-1", held.record.attempt, 5.0, b'"x"', usage=usage)
    settlement = success(held, data=encode_outcome(outcome))
    played.cell.settle("d1", replace(settlement, letter=letter, usage=usage))
    played.publish()
    return held.record.task_id


def test_what_tenants_used_is_shown(played: PlayedDispatcher) -> None:
    # Given a tenant of which one turn used tokens, and one that used none
    played.cell.tenant("acme")
    played.cell.tenant("quiet")
    played.cell.submit("acme", played.cell.task())
    (held,) = played.take()
    task_id = _ends(played, held, USED)
    # Then both commands say so
    shown = ok("tenants", "show", "acme")
    assert (shown["tokens_in"], shown["tokens_out"], shown["tokens_cached"]) == (1200, 34, 0)
    assert shown["cost_usd"] == 0.00126
    assert ok("tenants", "list")["tenants"][0] == shown
    said = godel("tenants", "list").out
    assert "1,234" in said
    assert "$0.00126" in said
    # And one that used nothing is shown without, but for programs
    said = godel("tenants", "show", "quiet").out
    assert "cost" not in said
    assert "tokens" not in said
    quiet = ok("tenants", "show", "quiet")
    assert [quiet[name] for name in ("tokens_in", "tokens_out", "tokens_cached")] == [0, 0, 0]
    assert quiet["cost_usd"] == 0
    # And the task that used them says so, too
    assert ok("tasks", "show", task_id)["usage"]["output_tokens"] == 34
    assert "1,200 in, 34 out" in godel("tasks", "show", task_id).out


def test_a_task_that_failed_says_what_its_last_attempt_used(played: PlayedDispatcher) -> None:
    # Given a task whose first attempt was retried, and whose second one failed
    played.cell.tenant("acme")
    played.cell.submit("acme", played.cell.task())
    (first,) = played.take()
    played.cell.settle("d1", replace(retry(first), usage=USED))
    (second,) = played.take()
    last = Usage(2000, 5, 300, 40, 1.5, "m", "p")
    task_id = _ends(played, second, last, "F")
    # Then the task has what the second one used, the tenant what both did
    assert ok("tasks", "show", task_id)["usage"] == usage_data(last)
    said = godel("tasks", "show", task_id).out
    assert "2,000 in, 5 out, 340 cached" in said
    assert "$1.50" in said
    tenant = ok("tenants", "show", "acme")
    assert (tenant["tokens_in"], tenant["tokens_out"], tenant["tokens_cached"]) == (3200, 39, 340)
    assert tenant["cost_usd"] == 1.50126


def test_results_tell_usage_where_it_is_known(attached: str, played: PlayedDispatcher) -> None:
    # Given a task whose instance said what it used, one whose did not, and one that waits
    played.cell.tenant("acme")
    played.cell.submit("acme", count=3)
    spent, silent = played.take(2)
    app = make_app("tests.usage")
    app.godel = Runtime(load_settings(redis_url=attached))
    told, untold = _ends(played, spent, USED), _ends(played, silent, None)
    # Then results say just that
    assert GodelResult(told, app=app).usage == usage_data(USED)
    assert GodelResult(untold, app=app).usage is None
    assert "usage" in ok("tasks", "show", untold)
    assert "tokens" not in godel("tasks", "show", untold).out
    (waiting,) = ok("tasks", "list")["tasks"]
    assert GodelResult(waiting["task_id"], app=app).usage is None
    app.godel.store.close()
    app.godel.results.close()
    app.close()
