"""What the end of a turn means: every row of the table."""

from __future__ import annotations

import pytest

from godel_tasks.domain.attempt import Delivery, End, Fault
from godel_tasks.instances.drivers.openclaw.completions import completion_of_judgement
from godel_tasks.instances.drivers.openclaw.ends import (
    Judgement,
    Kind,
    judge_failure,
    judge_final,
    judge_refusal,
    judge_wait,
)
from godel_tasks.instances.drivers.openclaw.frames import AgentAnswer, GatewayError, WaitAnswer
from godel_tasks.instances.drivers.openclaw.runs import Run

STARTING = GatewayError(
    "UNAVAILABLE", "gateway starting; retry shortly", {"reason": "startup-sidecars"}, True
)
DRAINING = GatewayError(
    "UNAVAILABLE",
    "agent unavailable during gateway restart",
    {"method": "agent", "reason": "gateway-restarting", "phase": "accepting"},
    True,
)
BUSY = 'Session "agent:main:x" changed while starting work. Retry. | SESSION_WORK_START_CHANGED'
#: As the real gateway words them (2026.9.6).
MODEL_TEXTS = {
    "LLM request failed: provider rejected the request schema or tool payload.": (
        Kind.MODEL_REJECTED
    ),
    "The selected model was not found by the provider. Check it.": Kind.MODEL_NOT_FOUND,
    "LLM request failed: authentication failed, HTTP 401": Kind.MODEL_AUTH,
    'Inline API key for provider "standin" is temporarily disabled after failures.': (
        Kind.MODEL_AUTH
    ),
    "LLM request rate limited, HTTP 429.": Kind.MODEL_RATE_LIMITED,
    "LLM request failed: connection refused by the provider endpoint.": Kind.MODEL_UNAVAILABLE,
    "HTTP 500: scripted failure": Kind.MODEL_UNAVAILABLE,
    "something that nobody has seen": Kind.MODEL_FAILED,
}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GatewayError("INVALID_REQUEST", 'unknown agent id "nosuch"'), Kind.BAD_REQUEST),
        (GatewayError("FORBIDDEN", "missing scope: operator.write"), Kind.FORBIDDEN),
        (STARTING, Kind.STARTING),
        (DRAINING, Kind.DRAINING),
        (GatewayError("UNAVAILABLE", BUSY, None, True), Kind.SESSION_BUSY),
        (GatewayError("UNAVAILABLE", "something", None, True), Kind.DRAINING),
    ],
)
def test_a_turn_that_was_refused_did_not_begin(error: GatewayError, kind: Kind) -> None:
    judgement = judge_refusal(error)
    assert judgement.kind is kind
    assert not judgement.uncertain
    assert judgement.reason == error.message


@pytest.mark.parametrize("text", MODEL_TEXTS)
def test_a_failure_of_the_model_is_told_by_its_text(text: str) -> None:
    error = GatewayError("UNAVAILABLE", text)
    judgement = judge_final(ok=False, answer=AgentAnswer("error"), error=error, stopping=None)
    assert (judgement.kind, judgement.end) == (MODEL_TEXTS[text], End.FAILED)
    assert judgement.reason == text


@pytest.mark.parametrize(
    ("answer", "stopping", "kind"),
    [
        (AgentAnswer("ok", "completed"), None, Kind.OK),
        (AgentAnswer("ok", "completed"), End.CANCELLED, Kind.OK),
        (AgentAnswer("timeout", "aborted", "rpc"), End.CANCELLED, Kind.CANCELLED),
        (AgentAnswer("timeout", "aborted", "rpc"), End.TIMED_OUT, Kind.TIMED_OUT),
        # Somebody stopped it at the gateway.
        (AgentAnswer("timeout", "aborted", "rpc"), None, Kind.CANCELLED),
        (AgentAnswer("timeout", "aborted", "", "provider"), None, Kind.TIMED_OUT),
        (AgentAnswer("timeout", "aborted", "restart", "gateway_draining"), None, Kind.INTERRUPTED),
        (AgentAnswer("wondrous"), None, Kind.UNKNOWN),
    ],
)
def test_a_turn_that_ended_without_an_error(
    answer: AgentAnswer, stopping: End | None, kind: Kind
) -> None:
    assert judge_final(ok=True, answer=answer, error=None, stopping=stopping).kind is kind


def test_an_abort_before_the_turn_began_is_told_as_an_error() -> None:
    error = GatewayError("UNAVAILABLE", "This operation was aborted | 20")
    for stopping, kind in ((End.CANCELLED, Kind.CANCELLED), (End.TIMED_OUT, Kind.TIMED_OUT)):
        judged = judge_final(ok=False, answer=AgentAnswer(), error=error, stopping=stopping)
        assert judged.kind is kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (WaitAnswer("ok", 1), Kind.OK),
        (WaitAnswer("error", 1, "rpc"), Kind.CANCELLED),
        (WaitAnswer("error", 1, "restart"), Kind.INTERRUPTED),
        (WaitAnswer("error", 1, error="connection refused"), Kind.MODEL_UNAVAILABLE),
        (WaitAnswer("error", 1, error={"message": "HTTP 404"}), Kind.MODEL_NOT_FOUND),
        (WaitAnswer("timeout", 1, "", "provider"), Kind.TIMED_OUT),
    ],
)
def test_a_run_that_was_waited_for(answer: WaitAnswer, kind: Kind) -> None:
    assert judge_wait(answer, stopping=None).kind is kind


#: kind: end, fault, another attempt may help, costs an attempt, may have run to any end
TABLE = {
    Kind.OK: (End.OK, Fault.NONE, False, True, False),
    Kind.CANCELLED: (End.CANCELLED, Fault.NONE, False, True, False),
    Kind.TIMED_OUT: (End.TIMED_OUT, Fault.TASK, True, True, False),
    Kind.BAD_REQUEST: (End.FAILED, Fault.TASK, False, True, False),
    Kind.MODEL_REJECTED: (End.FAILED, Fault.TASK, False, True, False),
    Kind.MODEL_NOT_FOUND: (End.FAILED, Fault.INSTANCE, True, True, False),
    Kind.MODEL_AUTH: (End.FAILED, Fault.PROVIDER, True, True, False),
    Kind.MODEL_RATE_LIMITED: (End.FAILED, Fault.PROVIDER, True, True, False),
    Kind.MODEL_UNAVAILABLE: (End.FAILED, Fault.PROVIDER, True, True, False),
    Kind.MODEL_FAILED: (End.FAILED, Fault.PROVIDER, True, True, False),
    Kind.SESSION_BUSY: (End.FAILED, Fault.INSTANCE, True, True, False),
    Kind.DRAINING: (End.REJECTED, Fault.INSTANCE, True, False, False),
    Kind.STARTING: (End.REJECTED, Fault.INSTANCE, True, False, False),
    Kind.FORBIDDEN: (End.REJECTED, Fault.INSTANCE, True, False, False),
    Kind.INTERRUPTED: (End.LOST, Fault.INSTANCE, True, True, True),
    Kind.UNKNOWN: (End.LOST, Fault.INSTANCE, True, True, True),
}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_says_what_follows(kind: Kind) -> None:
    said = Judgement(kind)
    found = (said.end, said.fault, said.retryable, said.costs_attempt, said.uncertain)
    assert found == TABLE[kind]


def test_a_busy_session_is_told_apart_after_the_turn_was_taken_too() -> None:
    assert judge_failure(BUSY).kind is Kind.SESSION_BUSY


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Kind.OK, Fault.NONE),
        (Kind.MODEL_RATE_LIMITED, Fault.PROVIDER),
        (Kind.DRAINING, Fault.INSTANCE),
        (Kind.UNKNOWN, Fault.INSTANCE),
        (Kind.BAD_REQUEST, Fault.TASK),
    ],
)
def test_whose_fault_it_was_comes_with_the_completion(kind: Kind, fault: Fault) -> None:
    run = Run(Delivery("t1", 1, "gw-1", 1, "acme", b"{}"), 0.0)
    assert completion_of_judgement(run, Judgement(kind), 1.0).fault is fault
