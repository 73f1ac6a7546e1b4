"""Every script's keys lie in one hash slot: each runs on a server in cluster mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from godel_tasks.domain.breaker import BreakerConfig, BreakerState
from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics
from godel_tasks.domain.pool import PoolConfig
from godel_tasks.domain.routing import Routed
from godel_tasks.domain.session import Affinity
from godel_tasks.domain.task import TaskState
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.deadletters import DeadLetterCommands
from godel_tasks.store.decisions import DecisionCommands
from godel_tasks.store.executor import SyncExecutor, connect_sync
from godel_tasks.store.health import HealthCommands
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands
from tests.cell import Cell, back, hold, retry, success
from tests.keyleaks import leaks
from tests.store.lua_text import script_names

#: Writes results, on the result server: Celery's result backend knows no cluster.
NOT_IN_A_CELL = {"publish"}


@pytest.fixture
def clustered(cluster_url: str) -> Iterator[Cell]:
    client = connect_sync(cluster_url)
    cell = Cell(SyncExecutor(client), cell=7)
    yield cell
    assert leaks(client) == []
    client.close()


def test_every_script_runs_on_a_cluster(clustered: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a cell that is not the first, on a cluster's node, and a list of the scripts that ran
    cell, ran = clustered, set()
    run = cell.executor.run

    def noting(command):
        ran.add(command.name)
        return run(command)

    monkeypatch.setattr(cell.executor, "run", noting)
    # When tasks take every way there is
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(level=i % 4, deadline="+90000") for i in range(8)))
    cell.submit("acme", cell.task(eta="+100"), cell.task("stuck", need="gpu"), check_settled=True)
    cell.dispatcher("d1", "d2")
    cell.run(cell.leases.sleep(dispatcher="d1"))
    a, b, c, d, e, f = cell.take("d1", 6)
    cell.run(cell.queue.mark_running(dispatcher="d1", tasks=[(a.record.task_id, a.epoch)]))
    cell.settle("d1", success(a), retry(b), retry(c, after_ms=10), back(d), hold(e))
    assert cell.run(cell.queue.resolve(task_id=e.record.task_id, verdict="retry")) == "ok"
    assert cell.cancel(d.record.task_id).outcome == "cancelled"
    assert cell.cancel(f.record.task_id).outcome == "asked"
    cell.pass_time(100)
    assert cell.due() == 2
    cell.sweep()
    cell.run(cell.leases.mark_unroutable(class_id="shared.gpu", now_ms=cell.now))
    cell.keep_alive("d2", ms=4000)
    bury = cell.queue.bury_class(class_id="shared.gpu", limit_ms=1000, why="nobody")
    assert cell.run(bury) == 1
    assert len(cell.bury("d1", by="d2")) == 1
    cell.publish_all("d2")
    assert cell.run(cell.look.settled(d.record.task_id)) is TaskState.CANCELLED
    assert cell.run(cell.queue.cut_dead_letters(before_ms=1)) == 0
    assert cell.run(DeadLetterCommands(7).drop(["stuck"])) == 1
    # And sessions are made, moved, ended and forgotten
    sessions = cell.sessions
    made = sessions.open(
        tenant_id="acme", session_id="s", affinity=Affinity.SOFT, ttl_ms=1000, labels={}
    )
    assert cell.run(made) == "created"
    cell.submit("acme", cell.task(session="s"), cell.task(session="s"))
    (g,) = cell.take("d2", classes=["shared.0~"])
    cell.settle("d2", retry(g))
    assert cell.move("shared.0~i1") == 1
    assert cell.end_session("acme:s").cancelled == 2
    assert cell.run(sessions.idle()).forgotten == 0
    cell.publish_all("d2")
    cell.run(cell.leases.leave(dispatcher="d2"))
    # And an instance comes and goes
    registry = cell.registry
    generation = cell.run(registry.register(InstanceConfig("gw-1", "h:1", capacity=2)))
    cell.run(registry.attend(instance_ids=["gw-1"], lease_ms=3000, event="instance.registered"))
    cell.run(
        registry.report(
            instance_id="gw-1", generation=generation, metrics=InstanceMetrics(), draining=False
        )
    )
    cell.run(registry.enlist(InstanceConfig("gw-1", "h:1"), generation=generation, lease_ms=3000))
    cell.run(registry.relabel(InstanceConfig("gw-1", "h:1"), generation=generation))
    assert cell.run(registry.find_labelled([["pool=shared"], ["region="]])) == ("gw-1",)
    cell.run(registry.lose(instance_id="gw-1", generation=generation, reason=""))
    health = HealthCommands()
    due = cell.run(health.claim_probes(limit=1, every_ms=1000, hold_ms=1000))
    cell.run(health.probed(held_until_ms=due.held_until_ms, next_in_ms={"gw-1": 1000}))
    fields = {"health": "degraded"}
    cell.run(health.note(instance_id="gw-1", generation=generation, memory="{}", fields=fields))
    cell.run(health.count_ends(instance_id="gw-1", generation=generation, counts={"ok": 1}))
    cell.run(health.declare_dead(instance_id="gw-1", generation=generation - 1))
    cell.run(registry.fleet())
    assert cell.run(registry.change(instance_id="gw-1", draining=False, capacity=3))
    cell.run(registry.tell(instance_id="gw-1", event="instance.changed"))
    cell.run(registry.slots(instance_id="gw-1", generation=generation, dispatcher="d1", count=2))
    cell.run(registry.orphan(instance_id="gw-1", owner="d1", slots={"d1/0": "t:1"}, free_rest=True))
    claim = registry.claim_boot(
        instance_id="gw-1", generation=generation, dispatcher="d1", hold_ms=1000
    )
    assert cell.run(claim) == "ok"
    boot = registry.reboot(
        instance_id="gw-1", generation=generation, dispatcher="d1", boot_id="b-2"
    )
    assert cell.run(boot) == generation + 1
    cell.run(registry.depart(instance_id="gw-1"))
    routed = Routed("shared.0", "least-loaded", "", {}, (), 0, (), 0)
    cell.run(DecisionCommands().put(dispatcher="d1", first_batch=1, last_batch=1, routed=routed))
    # And breakers of the instance and of what stands behind it open, are probed and forced
    breakers = BreakerCommands(lambda: cell.now)
    for name in ("instance:gw-1", "provider:acme/large"):
        told = breakers.report(
            name, config=BreakerConfig(), reporter="d1", outcomes="fffff", live=1
        )
        assert cell.run(told).snapshot.state is BreakerState.OPEN
        cell.pass_time(5000)
        assert cell.run(breakers.acquire(name, permits=["d1/1"])).granted == 1
        assert cell.run(breakers.read(name)).permits_left == 2
        cell.run(breakers.force(name, state=None, who="ops"))
    scaling = ScalingCommands()
    token = cell.run(scaling.lead(owner="a", lease_ms=1000)).token
    assert cell.run(scaling.record(token=token, pool="shared", state=None))
    # And a pool is declared, and somebody looks after what was made
    pools = PoolCommands()
    assert cell.run(pools.put_pool(PoolConfig("small"), before=""))
    assert cell.run(pools.hold_tending(holder="a", lease_ms=1000))
    assert not cell.run(pools.hold_tending(holder="b", lease_ms=1000))
    assert cell.run(pools.hold_tending(holder="a", lease_ms=0))
    # Then every script has run, and none crossed a slot
    assert set(script_names()) - NOT_IN_A_CELL - ran == set()
