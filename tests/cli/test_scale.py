"""`godel scale`: policies from the command line and from files, history, and what-if."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.domain.scaling import (
    PoolState,
    ScalingAct,
    ScalingDecision,
    ScalingKind,
    ScalingPolicy,
)
from godel_tasks.store.executor import SyncExecutor, connect_sync
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry
from tests.cli.played import godel, ok
from tests.policy.scaling.worlds import PoolWorld

FILE = """
[scaling.shared]
name = "by day"
min_instances = 2
max_instances = 8
down_window_s = 10

[scaling.gpu]
max_instances = 4
hourly_cost_usd = 2.5
"""


@pytest.fixture
def store(attached: str) -> Iterator[SyncExecutor]:
    executor = SyncExecutor(connect_sync(attached))
    yield executor
    executor.close()


@pytest.fixture
def file(attached: str) -> Path:
    path = Path("scaling.toml")
    path.write_text(FILE)
    return path


def kept(store: SyncExecutor, *entries: ScalingDecision | ScalingAct) -> None:
    """Put these into the history, as the leader does."""
    commands = ScalingCommands()
    token = store.run(commands.lead(owner="a", lease_ms=10_000)).token
    told = [
        ScalingEntry(token, entry)
        if isinstance(entry, ScalingDecision)
        else ScalingEntry(token, act=entry)
        for entry in entries
    ]
    record = commands.record(token=token, pool="shared", state=PoolState(), entries=told)
    assert store.run(record)


def a_day(low: ScalingPolicy) -> list[ScalingDecision]:
    """A pool with a peak at noon."""
    world = PoolWorld(low, 0, 2, up=low.min_instances)
    for world.demand in (2, 30, 30, 2, 2, 2):
        for _ in range(3):
            world.tick()
    return [replace(d, inputs=replace(d.inputs, instances=())) for d in world.history]


# -- policies ----------------------------------------------------------------------------------


def test_a_policy_is_set_changed_shown_and_removed(attached: str) -> None:
    made = ok("scale", "set", "shared", "--min", 2, "--max", 20, "--name", "by day")["policy"]
    assert (made["min_instances"], made["max_instances"], made["acts"]) == (2, 20, True)
    # When a part of it is changed
    step = "step_up={count=3, period_s=5}"
    ok("scale", "set", "shared", "--max", 9, "--with", "tolerance=0.2", "--with", step)
    # Then the rest stays
    policy = ok("scale", "show", "shared")["policy"]
    assert (policy["name"], policy["min_instances"], policy["max_instances"]) == ("by day", 2, 9)
    assert policy["tolerance"] == 0.2
    assert policy["step_up"] == {"count": 3, "percent": 0.0, "period_s": 5.0}
    said = godel("scale", "show", "shared").out
    assert "not looked at yet" in said
    assert "count 3, percent 0, period_s 5" in said
    # And it can be removed, once
    ok("scale", "remove", "shared")
    assert ok("scale", "policies")["policies"] == []
    assert godel("scale", "remove", "shared", "--json").code == 5


def test_what_is_wrong_with_a_policy_is_told_at_once(attached: str) -> None:
    said = godel("scale", "set", "shared", "--max", 3, "--min", 5, "--with", "step=0", "--json")
    assert (said.code, said.error["type"]) == (4, "InvalidScalingPolicy")
    assert (
        "scaling.shared.min_instances: expected at most max_instances (3)"
        in (said.error["message"])
    )
    assert "scaling.shared.step: expected more than 0" in said.error["message"]
    said = godel("scale", "set", "shared", "--with", "max_instance=3", "--json")
    assert "did you mean 'max_instances'?" in said.error["message"]
    assert godel("scale", "set", "shared").code == 2
    assert ok("scale", "policies")["policies"] == []


def test_a_file_is_applied_whole_or_not_at_all(file: Path) -> None:
    assert ok("scale", "apply", file)["new"] == 2
    listed = ok("scale", "policies")["policies"]
    assert [(p["pool"], p["acts"]) for p in listed] == [("gpu", False), ("shared", True)]
    said = godel("scale", "policies").out
    assert "recommends until it has an hourly ceiling" in said
    # And one with an error changes nothing
    file.write_text(FILE + "[scaling.eu]\nmin_instances = -1\n[scaling.us]\nmax_instances = 3\n")
    assert godel("scale", "apply", file, "--json").code == 4
    assert len(ok("scale", "policies")["policies"]) == 2
    assert godel("scale", "apply", "none.toml", "--json").code == 4


def test_a_pool_that_nothing_is_made_from_is_told_of(attached: str) -> None:
    said = godel("scale", "set", "shared", "--max", 3)
    assert "nothing can be made in it yet" in said.err
    assert "pool shared acts" in said.out


def test_an_unknown_pool_is_told_the_nearest_one(file: Path) -> None:
    ok("scale", "apply", file)
    said = godel("scale", "show", "shard", "--json")
    assert (said.code, said.error["type"]) == (5, "UnknownScalingPolicy")
    assert said.error["hint"] == "did you mean 'shared'?"


# -- what was decided, and what would be -------------------------------------------------------


def test_the_history_tells_decisions_and_acts(store: SyncExecutor) -> None:
    decisions = a_day(ScalingPolicy("shared", "by day", max_instances=5, min_instances=1))
    act = ScalingAct(decisions[-1].inputs.at_ms, ScalingKind.OUT, "gw-9", "spawned")
    kept(store, *decisions, act)
    told = ok("scale", "history", "shared", "--limit", 100)["entries"]
    assert len(told) == len(decisions) + 1
    grew = next(entry for entry in told if entry["kind"] == "decision" and entry["result"] == 5)
    assert (grew["size"], grew["clamps"]) == (1, ["5 by the step limit"])
    assert grew["inputs"]["queued"] > 0
    assert told[-1]["what"] == "spawned"
    # And for people: only the moves, the newest ones
    said = godel("scale", "history", "shared", "--moves").out
    assert "1 → 5" in said
    assert "spawned gw-9" in said
    assert "within the tolerance" not in said
    assert godel("scale", "history", "nope", "--json").code == 5


def test_simulate_replays_the_history_under_another_policy(store: SyncExecutor, file: Path) -> None:
    # Given a day under a policy with a maximum of three
    kept(store, *a_day(ScalingPolicy("shared", max_instances=3, min_instances=1)))
    # When that of the file is tried on it
    (shared, gpu) = ok("scale", "simulate", "--policy", file)["pools"]
    # Then it would have been larger, from the moment of the peak on
    total = shared["summary"]
    assert (total["peak_was"], total["peak_would"]) == (3, 6)
    assert total["hours_would"] > total["hours_was"]
    first: dict[str, Any] = shared["differences"][0]
    assert (first["was"], first["would"]) == (1, 2)
    assert first["would_clamps"] == ["2 by the minimum of 2"]
    assert gpu["differences"] == []
    said = godel("scale", "simulate", "--policy", file).out
    assert "instance hours" in said
    assert "Pool gpu: nothing was decided about it yet." in said


def test_simulate_with_the_policy_in_force_shows_no_difference(
    store: SyncExecutor, file: Path
) -> None:
    file.write_text("[scaling.shared]\nmax_instances = 3\nmin_instances = 1\n")
    kept(store, *a_day(ScalingPolicy("shared", max_instances=3, min_instances=1)))
    assert "It would have done the same." in godel("scale", "simulate", "--policy", file).out


def test_recommend_looks_at_what_is_there_now(attached: str) -> None:
    assert godel("scale", "recommend").out == "No pool has a policy.\n"
    ok("scale", "set", "shared", "--max", 4, "--mode", "recommend")
    ok("tenants", "add", "acme")
    for _ in range(3):
        ok("tasks", "submit", "acme", "1")
    told = ok("scale", "recommend", "shared")["pools"]["shared"]
    assert (told["inputs"]["queued"], told["wanted"], told["result"]) == (3, 3, 3)
    assert "0 (→ 3)" in godel("scale", "recommend").out
    # And nothing was stored
    assert ok("scale", "history", "shared")["entries"] == []
    assert godel("scale", "recommend", "gpu", "--json").code == 5
