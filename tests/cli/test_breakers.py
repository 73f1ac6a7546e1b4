"""`godel breakers`: see them, hold one, lift that."""

from __future__ import annotations

import asyncio

from godel_tasks.domain.breaker import BreakerConfig
from godel_tasks.fleet.scaling_reader import open_providers
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.keys import breaker_key
from tests.cli.played import godel, ok


def _break(runtime: Runtime, name: str) -> None:
    commands = BreakerCommands()
    told = commands.report(name, config=BreakerConfig(), reporter="d1", outcomes="fffff", live=1)
    runtime.store.pipeline([told, commands.enlist(name)])


def _states() -> dict[str, str]:
    return {b["name"]: b["state"] for b in ok("breakers", "list")["breakers"]}


def _open_providers(runtime: Runtime) -> frozenset[str]:
    async def read() -> frozenset[str]:
        store = runtime.async_store()
        try:
            return await open_providers(store)
        finally:
            await store.close()

    return asyncio.run(read())


def test_breakers_are_seen_held_and_left_to_themselves(attached: str) -> None:
    # Given an instance, a provider whose breaker is open, and somebody's own breaker
    runtime = Runtime(load_settings())
    ok("instances", "add", "gw-1", "h:1")
    for name in ("provider:acme", "provider:acme/large", "payments"):
        _break(runtime, name)
    closed = BreakerCommands().report(
        "provider:bolt", config=BreakerConfig(), reporter="d1", outcomes="o"
    )
    runtime.store.pipeline([closed, BreakerCommands().enlist("provider:bolt")])
    # Then all of them are listed
    assert _states() == {
        "instance:gw-1": "closed",
        "payments": "open",
        "provider:acme": "open",
        "provider:acme/large": "open",
        "provider:bolt": "closed",
    }
    assert "5 failures in 60 s, 1 reporter" in godel("breakers", "list", "--not-closed").out
    # And the autoscaler is told whose tasks more instances would not help
    assert _open_providers(runtime) == {"acme", "acme/large"}
    # When one is held open by its instance's id, it says by whom, until that is lifted
    held = ok("breakers", "open", "gw-1")
    assert (held["state"], held["name"]) == ("forced-open", "instance:gw-1")
    assert held["by"]
    assert ok("breakers", "show", "gw-1")["words"].startswith("forced-open by")
    assert ok("breakers", "close", "provider:acme")["state"] == "forced-closed"
    assert _open_providers(runtime) == {"acme/large"}
    for name in ("gw-1", "provider:acme"):
        assert ok("breakers", "auto", name)["words"] == "closed"
    # And what nobody used for a day is on no list
    client = runtime.store._client
    client.delete(breaker_key("payments"))
    assert "payments" not in _states()
    assert "payments" not in runtime.store.run(BreakerCommands().names())
    runtime.store.close()


def test_a_waiting_task_says_which_breakers_keep_it_from_instances(attached: str) -> None:
    # Given two instances, one with an open breaker, one before a provider with one
    runtime = Runtime(load_settings())
    ok("tenants", "add", "acme")
    ok("instances", "add", "gw-1", "h:1")
    ok("instances", "add", "gw-2", "h:2", "--capability", "provider=acme")
    _break(runtime, "provider:acme")
    ok("breakers", "open", "gw-1")
    # When a task waits
    task = ok("tasks", "submit", "acme", "1")["task_id"]
    # Then it says so of each
    told = {f["instance_id"]: f["reason"] for f in ok("tasks", "explain", task)["filtered"]}
    assert told["gw-1"].startswith("breaker forced-open by")
    assert told["gw-2"].startswith("provider:acme: breaker open until")
    runtime.store.close()


def test_a_breaker_that_nobody_knows_is_told(attached: str) -> None:
    refused = godel("breakers", "open", "no-such")
    assert refused.code == 5
    assert "No breaker" in refused.err
