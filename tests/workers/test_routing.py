"""Where tasks go and why, over a real worker and real instances."""

from __future__ import annotations

from tests.helpers import wait_until
from tests.world import World


def test_a_task_that_ran_tells_why_it_went_there(calm: World):
    # Given a task that only one instance can run
    result = calm.submit("acme", {}, capabilities={"single": "yes"})
    result.get(timeout=10)
    # When it is asked why (decisions are written down a moment after the claim)
    wait_until(lambda: result.explain()["candidates"], description="the decision is kept")
    told = result.explain()
    # Then it names where, by what strategy, the score, and what stood against the other one
    assert told["instance"] == "single"
    assert told["strategy"] == "least-loaded"
    assert told["reason"] == "least-loaded: single (load 0.00)"
    assert [c["instance_id"] for c in told["candidates"]] == ["single"]
    assert {f["instance_id"]: f["reason"] for f in told["filtered"]} == {
        "calm": "single is not offered, wanted single = yes"
    }
    assert not told["live"]


def test_a_task_that_waits_tells_what_for(calm: World):
    # Given the one slot that suits it is taken
    blocker = calm.submit("acme", {"sleep": 60}, capabilities={"single": "yes"})
    wait_until(lambda: calm.state(blocker.id) == "RUNNING", description="the slot is taken")
    # When another one is asked why it does not run
    result = calm.submit("acme", {}, capabilities={"single": "yes"})
    told = result.explain()
    calm.cancel(blocker.id)
    # Then it says so, as things are now
    assert told["live"]
    assert "1: all 1 slots are in use" in told["reason"]
    assert {f["instance_id"] for f in told["filtered"]} == {"calm", "single"}
    result.get(timeout=10)


def test_a_tenant_has_a_strategy_of_its_own(calm: World):
    # Given a tenant whose tasks take turns
    calm.tenant("turns", strategy="round-robin")
    result = calm.submit("turns", {})
    result.get(timeout=10)
    # Then its tasks are routed by it
    wait_until(lambda: result.explain()["candidates"], description="the decision is kept")
    assert result.explain()["strategy"] == "round-robin"
    assert "turn in" in result.explain()["reason"]
