"""What an attempt looks like to a gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.errors import InvalidTask
from godel_tasks.instances.drivers.openclaw.turns import (
    is_ours,
    named_session_key,
    session_parts,
    turn_of,
)
from tests.instances.sites import delivery


def turn(payload: Any, **fields: Any) -> Any:
    return turn_of(delivery("t-1", json.dumps(payload).encode(), **fields), "main")


def test_text_is_the_message() -> None:
    made = turn("hello", timeout_ms=1500)
    assert made.params == {
        "message": "hello",
        "sessionKey": "agent:main:godel:acme:t:t-1:1",
        "idempotencyKey": "t-1:1",
        "deliver": False,
        "timeout": 7,
    }


def test_bytes_are_text_too() -> None:
    given_bytes = delivery("t-1", "grüß Gott".encode(), encoding="bytes")
    assert turn_of(given_bytes, "main").params["message"] == "grüß Gott"


def test_an_object_says_more() -> None:
    made = turn(
        {"message": "hi", "agent": "ops", "model": "a/b", "thinking": "low", "system": "be brief"},
        session_id="s",
    )
    assert made.session_key == "agent:ops:godel:acme:s:s"
    assert made.params["model"] == "a/b"
    assert made.params["thinking"] == "low"
    assert made.params["extraSystemPrompt"] == "be brief"


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"{no json", "no JSON"),
        (b"7", "int, not a message"),
        (b'""', "the message is empty"),
        (b'{"agent": "main"}', "missing required field `message`"),
        (b'{"message": 7}', "Expected `str`"),
        (b'{"mesage": "x"}', "did you mean 'message'"),
        (b'{"message": "x", "zzz": 1}', "known: message, agent"),
    ],
)
def test_what_is_no_turn_is_refused_with_what_was_expected(payload: bytes, says: str) -> None:
    with pytest.raises(InvalidTask, match=says):
        turn_of(delivery("t-1", payload), "main")


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidTask, match="UTF-8"):
        turn_of(delivery("t-1", b"\xff", encoding="bytes"), "main")


def test_an_attempt_never_sees_what_an_earlier_one_left() -> None:
    first, second = turn("x"), turn("x", attempt=2)
    assert first.session_key != second.session_key
    assert first.params["idempotencyKey"] != second.params["idempotencyKey"]


names = st.text(min_size=1, max_size=20)


@given(names, names, names, names)
def test_two_tenants_never_meet_in_one_session(a: str, s: str, b: str, t: str) -> None:
    # The gateway folds keys to lower case: even then they differ when the names do.
    one, other = named_session_key("main", a, s), named_session_key("main", b, t)
    assert one == one.lower()
    assert (one == other) == ((a, s) == (b, t))
    assert session_parts(one) == (a, s)
    assert is_ours(one)


def test_other_sessions_are_not_ours() -> None:
    for key in ("agent:main:main", "agent:main:dashboard:godel", "agent:main:godelike:a:s:b"):
        assert not is_ours(key)
        assert session_parts(key) is None
    assert session_parts("agent:main:godel:acme:t:t-1:1") is None
