"""`celery inspect` tells the truth about dispatch; `control` steers it."""

from __future__ import annotations

import gc
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.events import EventBus
from godel_tasks.store.command import plain
from godel_tasks.store.keys import CellKeys
from godel_tasks.worker.service import DispatchService
from tests.control.conftest import broadcast, celery, running
from tests.helpers import wait_until
from tests.world import REPOSITORY, World

DISPATCHERS = ("d1", "d2")
ALL = ("c1", *DISPATCHERS)


def test_what_runs_is_active_where_it_is_held(world: World):
    # Given a task that runs
    began = time.time()
    result = running(world, secret="payload")
    # When the workers are asked what is active
    answers = broadcast(world, "active")
    # Then its dispatcher names it, and nobody else does
    holder = world.owner(result.id)
    assert {name: [i["id"] for i in infos] for name, infos in answers.items()} == {
        name: [result.id] if name == holder else [] for name in ALL
    }
    # And says of whom it is, where it runs, since when; but not what it is
    info = answers[holder][0]
    assert info["name"] == info["type"] == "godel_tasks.submit_task"
    assert info["args"] == ["acme"]
    assert info["kwargs"] == {"tenant": "acme", "instance": result.instance, "attempt": 1}
    assert info["hostname"].startswith(f"{holder}@")
    assert began - 1 < info["time_start"] < time.time() + 1
    assert info["worker_pid"] == world.processes[holder].pid
    assert info["delivery_info"]["routing_key"] == result.instance
    assert info["delivery_info"]["redelivered"] is False
    assert "payload" not in json.dumps(answers)
    # And it is found by its id, as active; nothing is reserved or scheduled
    found = broadcast(world, "query_task", ids=[result.id, "unknown"])
    assert {name: list(answer) for name, answer in found.items()} == {
        name: [result.id] if name == holder else [] for name in ALL
    }
    kind, same = found[holder][result.id]
    assert (kind, same["kwargs"]) == ("active", info["kwargs"])
    for kind in ("reserved", "scheduled"):
        assert list(broadcast(world, kind).values()) == [[], [], []]
    # And texts are given to those who ask for them, as Flower does
    safe = broadcast(world, "active", safe=True)[holder][0]
    assert (safe["args"], type(safe["kwargs"])) == ("('acme',)", str)
    # When it has ended
    result.revoke(terminate=True)
    wait_until(lambda: not world.state(result.id), description="it ended")
    # Then it is active no more
    wait_until(lambda: not any(broadcast(world, "active").values()), description="none is active")


def test_what_cannot_be_sent_is_reserved(world: World):
    # Given an instance that is registered, and that nobody can reach
    registry, store = world.runtime.registry, world.runtime.store
    nowhere = InstanceConfig("nowhere", "127.0.0.1:9", capabilities={"nowhere": "yes"})
    store.run(registry.register(nowhere))
    attend = registry.attend(instance_ids=["nowhere"], lease_ms=60_000, event="instance.registered")
    store.run(attend)
    # When a task is for it
    result = world.submit("acme", {}, capabilities={"nowhere": "yes"})
    wait_until(lambda: world.owner(result.id), description="it is claimed", timeout=10)
    # Then its dispatcher has it as reserved, not as active
    holder = world.owner(result.id)
    assert [i["id"] for i in broadcast(world, "reserved")[holder]] == [result.id]
    assert broadcast(world, "active")[holder] == []
    kind, info = broadcast(world, "query_task", ids=[result.id])[holder][result.id]
    assert (kind, info["time_start"]) == ("reserved", None)
    stats = broadcast(world, "stats")[holder]["godel"]
    assert (stats["in_flight"], stats["claimed"]) == (0, 1)
    instance = broadcast(world, "godel_instances")[holder]["nowhere"]
    assert (instance["connected"], instance["in_flight_here"]) == (False, 1)
    # (and it is left as it was found)
    result.revoke(terminate=True)
    store.run(registry.depart(instance_id="nowhere"))
    store.run(registry.forget(instance_id="nowhere"))
    wait_until(
        lambda: not any("nowhere" in seen for seen in broadcast(world, "godel_instances").values()),
        description="the instance is forgotten",
    )
    wait_until(lambda: not world.state(result.id), description="the task ended", timeout=10)


def test_stats_count_what_each_dispatcher_does(world: World):
    def done(stats: dict[str, Any]) -> int:
        return sum(stats[name]["total"]["godel_tasks.submit_task"] for name in DISPATCHERS)

    # Given dispatchers at work
    before = broadcast(world, "stats")
    # When tasks have ended, one of them in its second attempt
    results = [world.submit("acme", {}) for _ in range(9)]
    results.append(world.submit("acme", {"raise": "once", "until": 2}))
    for result in results:
        result.get(timeout=15)
    runs = running(world)
    # Then the counts say so
    after = broadcast(world, "stats")
    assert done(after) - done(before) == 10
    assert sum(after[name]["godel"]["counts"].get("retried", 0) for name in DISPATCHERS) >= 1
    # And each says how it is, what is in flight and how the slots stand
    for name in DISPATCHERS:
        stats = after[name]["godel"]
        assert stats["dispatcher"].startswith(f"{name}@")
        assert stats["state"] == "at work"
        assert stats["instances"] == {"registered": 2, "up": 2}
        assert stats["slots"]["capacity"] == 9
    holder = after[world.owner(runs.id)]["godel"]
    assert (holder["in_flight"], holder["slots"]["mine"]) == (1, 1)
    # And a control worker has what Celery counts, and no dispatcher
    assert "godel" not in after["c1"]
    assert after["c1"]["pool"]["implementation"].endswith("thread:TaskPool")
    runs.revoke(terminate=True)
    wait_until(lambda: not world.state(runs.id), description="it ended")


def test_workers_answer_and_know_the_task(world: World):
    assert broadcast(world, "ping") == {name: {"ok": "pong"} for name in ALL}
    for names in broadcast(world, "registered").values():
        assert any(name.startswith("godel_tasks.submit_task") for name in names)


# -- control -----------------------------------------------------------------------------------


def test_a_drained_instance_gets_nothing_until_it_is_taken_back(world: World):
    # Given an instance that alone can run a task
    def status() -> set[str]:
        seen = broadcast(world, "godel_instances")
        return {seen[name]["narrow"]["status"] for name in DISPATCHERS}

    assert status() == {"up"}
    # When it is drained, by a broadcast to every worker
    answers = broadcast(world, "godel_drain", instance="narrow")
    # Then every worker says so, and each dispatcher sees it
    assert all("narrow is draining" in answer["ok"] for answer in answers.values())
    wait_until(lambda: status() == {"draining"}, description="they know")
    result = world.submit("acme", {}, capabilities={"narrow": "yes"})
    with pytest.raises(Exception, match="timed out"):
        result.get(timeout=0.5)
    # When it is taken back
    broadcast(world, "godel_undrain", instance="narrow")
    # Then it runs what waited
    assert result.get(timeout=10)["instance"] == "narrow"
    # And a wrong name is told, with the nearest
    wrong = broadcast(world, "godel_drain", instance="narow")
    assert all("did you mean 'narrow'?" in answer["error"] for answer in wrong.values())


def test_a_paused_dispatcher_claims_nothing_and_keeps_what_it_has(world: World):
    # Given a task that runs
    runs = world.submit("acme", {"sleep": 1.0})
    wait_until(lambda: world.state(runs.id) == "RUNNING", description="it runs")
    # When every dispatcher is paused
    answers = broadcast(world, "godel_pause")
    # Then they say so, also later
    assert all(answers[name]["ok"].startswith("paused") for name in DISPATCHERS)
    assert "does not dispatch" in answers["c1"]["ok"]
    stats = broadcast(world, "stats")
    assert {stats[name]["godel"]["state"] for name in DISPATCHERS} == {"paused"}
    # And what runs ends, while what comes waits
    waits = [world.submit("acme", {}) for _ in range(3)]
    assert runs.get(timeout=10)["attempt"] == 1
    assert {world.state(result.id) for result in waits} == {"WAITING"}
    # When one of them goes on
    answers = broadcast(world, "godel_resume", "d2")
    # Then it runs what waited; the other one goes on when it is told
    assert list(answers) == ["d2"]
    for result in waits:
        assert result.get(timeout=10)["attempt"] == 1
    assert broadcast(world, "stats", "d1")["d1"]["godel"]["state"] == "paused"
    assert broadcast(world, "godel_resume", "d1")["d1"]["ok"].startswith("at work")


def test_the_celery_command_knows_them(world: World):
    def out(words: tuple[str, ...]) -> str:
        return subprocess.run(
            celery("-A", "godel_tasks", *words),
            cwd=REPOSITORY, env=world.env(), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    # When the command is given Godel's own commands as if they were Celery's
    words = [
        ("inspect", "--json", "godel_instances"),
        ("control", "--json", "godel_undrain", "narrow"),
    ]
    with ThreadPoolExecutor() as together:
        seen, undrained = together.map(out, words)
    # Then it knows them, with their arguments, and every worker answers
    fleet = json.loads(seen)
    assert {name.partition("@")[0]: sorted(seen) for name, seen in fleet.items()} == {
        name: [] if name == "c1" else ["narrow", "wide"] for name in ALL
    }
    assert len(json.loads(undrained)) == 3


def test_a_pause_outlasts_the_dispatcher_that_heard_it(world: World):
    # Given a dispatcher in this process, paused
    leases, run = world.runtime.cells[0].leases, world.runtime.store.run
    service = DispatchService(world.runtime, "here@test", EventBus(), lambda: None)
    service.start()
    try:
        wait_until(lambda: state_of(service)[1] == "at work", description="it is at work")
        service.pause()
        name, state = state_of(service)
        assert state == "paused"
        # When it was stopped for too long: somebody reaps it
        (reaper,) = (lease for lease in world.leases() if lease.startswith("d1@"))
        wait_until(lambda: name in world.leases(), description="it has a lease")

        def condemned() -> bool:
            run(plain("ZADD", CellKeys.of(0).fixed("leases"), "XX", 1, name, decode=int))
            return run(leases.condemn(reaper=reaper, dead=name)).outcome in ("ok", "done")

        wait_until(condemned, description="its lease is over")
        # Then the next one, of another name, is paused too, until it is told to go on
        wait_until(lambda: state_of(service)[0] not in ("", name), description="the next one")
        assert state_of(service)[1] == "paused"
        service.resume()
        assert state_of(service)[1] == "at work"
    finally:
        service.stop()
        gc.unfreeze()  # the dispatcher froze what start-up made, and this process goes on


def state_of(service: DispatchService) -> tuple[str, str]:
    """Its dispatcher's name and state."""
    view = service.view(5.0)
    return (view.name, view.state) if view else ("", "")
