"""Whose breaker counts what of an attempt: each row of the table in policy/blame.py."""

from __future__ import annotations

import pytest

from godel_tasks.domain.attempt import Completion, End, Fault
from godel_tasks.domain.breaker import BreakerConfig, ErrorKind
from godel_tasks.policy.blame import breakers_behind, outcome_of, provider_breakers


def _said(end: End, config: BreakerConfig | None = None, **fields) -> str:
    blame = outcome_of(Completion("t1", 1, "gw-1", end, **fields), config or BreakerConfig())
    return blame.instance + blame.provider


@pytest.mark.parametrize(
    ("end", "fault", "error_type", "letters"),
    [
        (End.OK, Fault.NONE, "", "oo"),
        (End.FAILED, Fault.PROVIDER, "ModelRateLimited", "of"),
        (End.FAILED, Fault.INSTANCE, "SessionBusy", "f-"),
        (End.FAILED, Fault.TASK, "BadRequest", "o-"),
        (End.FAILED, Fault.NONE, "ValueError", "o-"),
        (End.REJECTED, Fault.INSTANCE, "Starting", "f-"),
        (End.REJECTED, Fault.NONE, "Full", "f-"),
        (End.REJECTED, Fault.NONE, "Draining", "--"),
        (End.REJECTED, Fault.NONE, "", "--"),
        (End.LOST, Fault.NONE, "", "f-"),
        (End.LOST, Fault.INSTANCE, "Interrupted", "f-"),
        (End.TIMED_OUT, Fault.TASK, "TimedOut", "--"),
        (End.CANCELLED, Fault.NONE, "", "--"),
    ],
)
def test_each_breaker_counts_what_is_its_own(
    end: End, fault: Fault, error_type: str, letters: str
) -> None:
    assert _said(end, fault=fault, error_type=error_type) == letters


def test_slow_attempts_count_as_slow_where_that_is_wanted() -> None:
    config = BreakerConfig(slow_call_s=2)
    assert _said(End.OK, config, run_ms=2001) == "ss"
    assert _said(End.OK, config, run_ms=2000) == "oo"
    assert _said(End.FAILED, config, run_ms=2001, fault=Fault.PROVIDER) == "ox"
    # And nothing is slow by default
    assert _said(End.OK, run_ms=9e9) == "oo"


def test_kinds_that_do_not_count_count_for_nobody() -> None:
    config = BreakerConfig(kinds=frozenset({ErrorKind.STALL}))
    assert _said(End.LOST, config) == "f-"
    assert _said(End.FAILED, config, fault=Fault.PROVIDER) == "o-"
    assert _said(End.REJECTED, config, fault=Fault.INSTANCE) == "--"


def test_what_stands_behind_an_instance_is_named_by_its_capabilities() -> None:
    assert breakers_behind({"provider": "acme", "model": "large"}) == (
        "provider:acme",
        "provider:acme/large",
    )
    assert breakers_behind({"provider": "acme"}) == ("provider:acme",)
    assert breakers_behind({"model": "large"}) == ()
    assert provider_breakers("", "") == ()
