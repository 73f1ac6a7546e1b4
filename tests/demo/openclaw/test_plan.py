"""What the tenants of the demo with gateways submit."""

from __future__ import annotations

from collections import Counter

import pytest

from godel_tasks.demo.openclaw.plan import (
    ANSWER_WORDS,
    DEFAULT_TASKS,
    LEAST_TASKS,
    LONG_S,
    MOST_GATEWAYS,
    GatewaysPlan,
    is_long,
    turns,
)
from godel_tasks.demo.plan import TENANTS
from godel_tasks.policy.admission import request_of
from godel_tasks.testing.standin import parse

TEXTS = ["one two three [[latency=99]] four", "five six"]


@pytest.mark.parametrize("gateways", range(1, MOST_GATEWAYS + 1))
@pytest.mark.parametrize("tasks", [LEAST_TASKS, DEFAULT_TASKS])
def test_every_prompt_is_its_own_and_every_tenant_has_the_same(gateways: int, tasks: int) -> None:
    # Given a plan
    plan = GatewaysPlan(gateways, tasks)
    # When the turns are made
    items = list(turns(plan, TEXTS))
    # Then all are asked for in another way, so that the calls of each can be counted
    assert len({item["payload"] for item in items}) == len(items) == tasks
    assert len({item["task_id"] for item in items}) == tasks
    # And the tenants have as much, and as many long ones
    assert Counter(item["tenant_id"] for item in items) == dict.fromkeys(TENANTS, plan.each)
    assert len(set(Counter(item["tenant_id"] for item in items if is_long(item)).values())) == 1
    # And Godel accepts their fields
    for item in items:
        request_of(item)


def test_a_sessions_turns_stay_on_one_gateway_and_each_gateway_has_some() -> None:
    # Given turns for three gateways
    plan = GatewaysPlan(3)
    items = [item for item in turns(plan, TEXTS) if "session_id" in item]
    # Then a tenant's session names one gateway
    places: dict[tuple[str, str], set[str]] = {}
    for item in items:
        places.setdefault((item["tenant_id"], item["session_id"]), set()).add(item["instance"])
    assert all(len(gateways) == 1 for gateways in places.values())
    # And every gateway that there is has sessions of every tenant
    of_plan = {each.instance_id for each in plan.instances()}
    for tenant in TENANTS:
        assert {item["instance"] for item in items if item["tenant_id"] == tenant} == of_plan


def test_the_stand_in_understands_every_prompt_whatever_its_text_says() -> None:
    # Given texts that look like directives themselves
    for item in turns(GatewaysPlan(2), TEXTS):
        # Then the stand-in reads the plan's directives only
        asked = parse(item["payload"])
        assert asked.tokens == ANSWER_WORDS
        assert (asked.latency_s == LONG_S) == is_long(item)
