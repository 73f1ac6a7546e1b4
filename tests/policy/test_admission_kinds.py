"""A field of the wrong kind is refused at the door: in a lane it would stop a dispatcher."""

from __future__ import annotations

from typing import Any

import pytest

from godel_tasks.domain.task import decode_body
from godel_tasks.errors import InvalidTask
from godel_tasks.policy.admission import AdmissionRules, admit, request_of


@pytest.mark.parametrize(
    "field",
    [
        {"session_id": 5},
        {"correlation_id": ["a"]},
        {"region": 5},
        {"instance": None},
        {"strategy": 5},
        {"on_uncertain": 3},
        {"ignore_result": "yes"},
        {"celery": 5},
        {"celery": {"root_id": 1j}},
        {"session_id": "\udc80"},
        {"timeout": float("inf")},
        {"deadline": float("nan")},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind_is_refused(field: dict[str, Any]) -> None:
    request = request_of({"tenant_id": "acme", "payload": 1, **field})
    with pytest.raises(InvalidTask) as refused:
        admit(request, "t", AdmissionRules())
    assert refused.value.hint


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ({"on_uncertain": "hodl"}, "did you mean 'hold'?"),
        ({"priority": "hihg"}, "did you mean 'high'?"),
        ({"capabilities": {"gpu": {"inn": ["a"]}}}, "did you mean 'in'?"),
    ],
)
def test_a_wrong_word_brings_the_nearest_right_one(field: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidTask) as refused:
        admit(request_of({"tenant_id": "acme", "payload": 1, **field}), "t", AdmissionRules())
    assert refused.value.hint == hint


def test_what_is_admitted_can_be_read_again() -> None:
    fields = {"session_id": "s", "correlation_id": "c", "headers": {"n": 1}, "ignore_result": True}
    task = admit(request_of({"tenant_id": "acme", "payload": 1, **fields}), "t", AdmissionRules())
    body = decode_body(task.body)
    assert (body.session_id, body.correlation_id, body.headers) == ("s", "c", {"n": "1"})
    assert body.ignore_result
