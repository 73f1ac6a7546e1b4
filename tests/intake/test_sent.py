"""Reading messages: what is in them and what is not, and which workers get them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Message

from godel_tasks.celery import make_app
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.worker.sent import Sent, headers_of, read


def sent(body: Any = None, *, properties: dict[str, Any] | None = None, **headers: Any) -> Sent:
    """What a message of protocol 2 says."""
    message = Message(
        json.dumps(body or [["acme", {}], {}, {}]),
        content_type="application/json",
        content_encoding="utf-8",
        properties=properties or {},
        headers={"task": "godel_tasks.submit_task", "id": "t1", **headers},
    )
    return read(message, None, headers_of(message, None))


def test_a_minimal_message_asks_for_nothing_but_its_id():
    assert sent() == Sent(["acme", {}], {}, {"task_id": "t1"}, {})


def test_what_clients_fill_in_by_themselves_says_nothing():
    headers: dict[str, Any] = {
        "root_id": "t1",
        "parent_id": None,
        "eta": None,
        "timelimit": [None, None],
    }
    properties = {"correlation_id": "t1", "reply_to": "", "priority": 0}
    headers |= {"lang": "py", "origin": "gen1@host", "argsrepr": "()", "retries": 0, "stamps": {}}
    assert sent(properties=properties, **headers).options == {"task_id": "t1"}


def test_times_without_a_zone_are_utc():
    options = sent(eta="2030-01-31T12:00:00", expires="2030-01-31T12:00:00+02:00").options
    assert options["eta"] == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert options["expires"] == datetime(2030, 1, 31, 10, tzinfo=UTC)


def test_the_clients_own_headers_are_kept_nested_ones_too():
    # Tracers that know how Celery once lost headers put theirs in twice
    options = sent(baggage="b", nothing=None, headers={"sentry-trace": "s", "baggage": "old"})
    assert options.options["headers"] == {"baggage": "b", "sentry-trace": "s"}


def test_stamps_are_no_headers():
    options = sent(stamped_headers=["who"], stamps={"who": "me"}, who="me").options
    assert options == {"task_id": "t1", "stamps": {"who": "me"}}


def test_what_follows_a_task_is_read_from_the_body():
    follows = {"task": "theirs.next"}
    body = [[], {}, {"callbacks": [follows], "errbacks": None, "chain": [follows], "chord": None}]
    options = sent(body).options
    assert options == {"task_id": "t1", "link": [follows], "chain": [follows]}


@pytest.mark.parametrize(
    ("kind", "queues"),
    [
        ({"dispatch": False}, {"godel.control", "theirs"}),
        ({}, {"godel.control", "theirs"}),
        ({"control": False}, {"godel.control.none"}),
    ],
    ids=["control", "both", "dispatcher"],
)
def test_control_workers_take_messages_in_and_dispatchers_do_not(
    kind: dict[str, bool], queues: set[str]
):
    app = make_app("tests.intake", **kind)
    app.godel = Runtime(load_settings(redis_url="redis://nowhere", intake_queue="theirs"))
    assert set(app.amqp.queues.consume_from) == queues
