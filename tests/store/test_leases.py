"""renew, leave, condemn, reap, take_outbox: a dispatcher's life, and what goes over to others."""

from __future__ import annotations

from tests.cell import Cell, back, ids, success


def _renew(cell: Cell, name: str):
    return cell.run(cell.leases.renew(dispatcher=name, lease_ms=3000))


def _condemn(cell: Cell, dead: str, *, by: str) -> str:
    return cell.run(cell.leases.condemn(reaper=by, dead=dead)).outcome


def test_a_renewal_says_what_is_held_and_who_is_dead(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", count=3)
    cell.dispatcher("d1", "d2")
    cell.take("d1", 2)
    assert _renew(cell, "d1").held == 2
    assert _renew(cell, "d2").dead == ()
    # When d1 renews no more
    cell.keep_alive("d2", ms=3000)
    assert _renew(cell, "d2").dead == ("d1",)


def test_a_dispatcher_that_renews_is_not_condemned(cell: Cell) -> None:
    cell.dispatcher("d1", "d2")
    cell.keep_alive("d1", "d2", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "alive"


def test_nobody_is_condemned_until_a_lease_after_a_stall(cell: Cell) -> None:
    # Given two dispatchers that both could not renew: Redis stalled, or the machine was frozen
    cell.dispatcher("d1", "d2")
    cell.keep_alive("d1", "d2", ms=4000)
    cell.pass_time(10_000)
    # When one comes back first, and sees the other's lease over
    assert _renew(cell, "d2").dead == ("d1",)
    # Then it must wait for one lease
    assert _condemn(cell, "d1", by="d2") == "grace"
    cell.keep_alive("d2", ms=2999)
    assert _condemn(cell, "d1", by="d2") == "grace"
    cell.keep_alive("d2", ms=1)
    assert _condemn(cell, "d1", by="d2") == "ok"


def test_a_reaper_without_a_lease_of_its_own_may_not(cell: Cell) -> None:
    cell.dispatcher("d1", "d2", "d3")
    cell.keep_alive("d3", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "stale"
    assert _condemn(cell, "d1", by="stranger") == "stale"
    assert cell.run(cell.leases.reap(reaper="d2", dead="d1", finish=True)).outcome == "stale"


def test_the_condemned_can_claim_and_renew_nothing(cell: Cell) -> None:
    # Given a dispatcher that was condemned while it was stopped
    cell.tenant("acme")
    cell.submit("acme", count=1)
    cell.dispatcher("d1", "d2")
    cell.keep_alive("d2", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "ok"
    # Then it is out, before and after the reaping is done
    for _ in range(2):
        assert _renew(cell, "d1").stale
        assert cell.claim("d1").stale
        cell.run(cell.leases.reap(reaper="d2", dead="d1", finish=True))
    assert cell.status("acme").depth == 1


def test_what_the_dead_held_goes_over_with_its_slots(cell: Cell) -> None:
    # Given a dispatcher that dies with two tasks, one of them running
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"), cell.task("b"))
    cell.dispatcher("d1", "d2")
    a, b = cell.take("d1", 2)
    cell.run(cell.queue.mark_running(dispatcher="d1", tasks=[("a", a.epoch)]))
    cell.keep_alive("d2", ms=4000)
    # When it is condemned
    seen = cell.run(cell.leases.condemn(reaper="d2", dead="d1"))
    # Then the reaper sees which slots its tasks use
    assert {t.slot for t in seen.tasks} == {a.slot, b.slot}
    # And takes the tasks over: a new epoch, the same attempt, the same slot, still running
    taken = {t.record.task_id: t for t in cell.bury("d1", by="d2")}
    assert (taken["a"].epoch, taken["a"].record.attempt, taken["a"].slot) == (2, 1, a.slot)
    assert [cell.letter("a"), cell.letter("b")] == ["R", "C"]
    entry = cell.entry("a")
    assert entry is not None
    assert entry.owner == "d2"
    # And no slot of the tenant's was freed by that
    assert cell.status("acme").in_flight == 2
    assert cell.settle("d2", success(taken["a"]), back(taken["b"])) == (True, True)
    assert ids(cell.take("d2", 2)) == ["b"]


def test_a_reaper_that_dies_is_reaped_itself(cell: Cell) -> None:
    # Given a reaper that dies in the middle of a large reaping
    cell.tenant("acme", max_queue=5000)
    cell.submit("acme", count=1500)
    cell.dispatcher("d1", "d2", "d3")
    cell.take("d1", 1500)
    cell.keep_alive("d2", "d3", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "ok"
    part = cell.run(cell.leases.reap(reaper="d2", dead="d1", finish=False, limit=200)).tasks
    assert 0 < len(part) < 1500
    # When another buries both
    cell.keep_alive("d3", ms=4000)
    rest, again = cell.bury("d1", by="d3"), cell.bury("d2", by="d3")
    # Then every task has one owner
    assert len(rest) + len(again) == 1500
    assert len(cell.run(cell.leases.held(dispatcher="d3"))) == 1500
    assert {t.epoch for t in rest} == {2}
    assert {t.epoch for t in again} == {3}
    assert cell.run(cell.look.dispatchers()).keys() == {"d3"}


def test_thousands_of_held_tasks_are_reaped_in_portions(cell: Cell) -> None:
    # Given many more than one portion: the places that the first portions left are passed over
    cell.tenant("acme", max_queue=20_000)
    for _ in range(2):
        cell.submit("acme", count=4000)
    cell.dispatcher("d1", "d2")
    cell.take("d1", 8000)
    cell.keep_alive("d2", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "ok"
    rounds = 0
    while cell.run(cell.leases.reap(reaper="d2", dead="d1", finish=True, limit=20)).tasks:
        rounds += 1
    assert len(cell.run(cell.leases.held(dispatcher="d2"))) == 8000
    assert cell.server("HLEN", cell.queue.keys.held("d1")) == 0
    assert rounds > 50


def test_an_unpublished_end_outlives_its_dispatcher(cell: Cell) -> None:
    # Given a dispatcher that settled and died before it published
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1", "d2")
    (a,) = cell.take("d1")
    cell.settle("d1", success(a, data=b"42"))
    cell.keep_alive("d2", ms=4000)
    assert _condemn(cell, "d1", by="d2") == "ok"
    # Then its lease stays, so that nobody forgets it, until the entry is taken over
    reap = cell.leases.reap(reaper="d2", dead="d1", finish=True)
    assert cell.run(reap).outcome == "ok"
    assert "d1" in cell.run(cell.look.dispatchers())
    assert cell.run(cell.leases.take_outbox(dispatcher="d2", source="d1")) == {"a": b"42"}
    assert cell.run(reap).outcome == "done"
    assert cell.publish_all("d2") == {"a": b"42"}


def test_a_large_shared_outbox_is_taken_whole(cell: Cell) -> None:
    # Given thousands of ends that no dispatcher settled
    cell.tenant("acme", max_queue=20_000)
    cell.dispatcher("d1")
    cell.submit("acme", *(cell.task(f"t{i}", start_by="+1000") for i in range(6000)))
    cell.pass_time(1000)
    cell.take("d1")
    assert _renew(cell, "d1").shared_outbox == 6000
    # Then portions come until it is empty
    taken = 0
    while entries := cell.run(cell.leases.take_outbox(dispatcher="d1", limit=20)):
        taken += len(entries)
    assert taken == 6000


def test_who_was_reaped_can_take_nothing_with_it(cell: Cell) -> None:
    # Given an end that nobody published, and a dispatcher that was reaped while it was stopped
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1", "d2")
    cell.cancel("a")
    cell.keep_alive("d2", ms=4000)
    cell.bury("d1", by="d2")
    # When it goes on before it knows
    assert cell.run(cell.leases.take_outbox(dispatcher="d1")) == {}
    cell.run(cell.leases.sleep(dispatcher="d1"))
    # Then the end is still where those who live find it, and nobody waits for the dead to wake
    assert cell.publish_all("d2").keys() == {"a"}
    assert not cell.server("EXISTS", cell.key("sleepers"))


def test_who_has_left_can_take_nothing_with_it(cell: Cell) -> None:
    # Given a dispatcher that left just before what it asked for last arrives
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1", "d2")
    cell.cancel("a")
    assert cell.run(cell.leases.leave(dispatcher="d1")) == 0
    assert cell.run(cell.leases.take_outbox(dispatcher="d1")) == {}
    # Then the end is still where those who live find it
    assert cell.publish_all("d2").keys() == {"a"}


def test_taking_ones_own_outbox_loses_nothing(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    cell.succeed("d1", *cell.take("d1"))
    cell.run(cell.leases.take_outbox(dispatcher="d1", source="d1"))
    assert cell.publish_all("d1") == {"a": b"result"}


def test_who_leaves_with_nothing_is_gone_at_once(cell: Cell) -> None:
    cell.dispatcher("d1")
    cell.run(cell.leases.sleep(dispatcher="d1"))
    assert cell.run(cell.leases.leave(dispatcher="d1")) == 0
    assert cell.run(cell.look.dispatchers()) == {}
    assert not cell.server("EXISTS", cell.key("sleepers"), cell.key("batches"))


def test_who_leaves_with_tasks_may_be_reaped_at_once(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", count=1)
    cell.dispatcher("d1", "d2")
    cell.keep_alive("d1", "d2", ms=4000)
    cell.take("d1")
    assert cell.run(cell.leases.leave(dispatcher="d1")) == 1
    assert len(cell.bury("d1", by="d2")) == 1


def test_a_sleeper_is_woken_by_work_once(cell: Cell) -> None:
    # Given two dispatchers that sleep, and one that does not
    cell.tenant("acme")
    cell.dispatcher("d1", "d2", "d3")
    for name in ("d1", "d2"):
        waiting, next_due = cell.run(cell.leases.sleep(dispatcher=name))
        assert (waiting, next_due) == ({}, None)
    # When work comes for one
    cell.submit("acme", count=1)
    # Then there is a token for one, and more work brings no more tokens than sleepers
    assert cell.server("LLEN", cell.leases.wake_key) == 1
    cell.submit("acme", count=50)
    cell.submit("acme", count=50)
    assert cell.server("LLEN", cell.leases.wake_key) == 2
    # And who claims sleeps no more
    cell.take("d1")
    cell.server("DEL", cell.leases.wake_key)
    cell.submit("acme", count=50)
    assert cell.server("LLEN", cell.leases.wake_key) == 1


def test_nobody_sleeps_while_there_is_work_for_it(cell: Cell) -> None:
    cell.tenant("acme")
    cell.dispatcher("d1")
    cell.submit("acme", cell.task(need="gpu"), cell.task(eta="+9000"))
    # Given work that it can do nothing about, it may sleep, and knows when the next is due
    asleep = cell.run(cell.leases.sleep(dispatcher="d1", ignoring=["shared.gpu"]))
    assert asleep == ({"shared.gpu": 1}, cell.now + 9000)
    assert cell.server("SISMEMBER", cell.key("sleepers"), "d1") == 1
    # Given work, it may not
    cell.run(cell.leases.sleep(dispatcher="d1"))
    assert cell.server("SISMEMBER", cell.key("sleepers"), "d1") == 0


def test_every_way_back_into_a_lane_wakes_somebody(cell: Cell) -> None:
    cell.tenant("acme")
    cell.dispatcher("d1", "d2")

    def woken(act) -> bool:
        cell.server("DEL", cell.leases.wake_key)
        cell.run(cell.leases.sleep(dispatcher="d2", ignoring=["shared.0"]))
        act()
        return bool(cell.server("LLEN", cell.leases.wake_key))

    cell.submit("acme", cell.task("a"))
    (a,) = cell.take("d1")
    assert woken(lambda: cell.settle("d1", back(a)))
    assert woken(lambda: cell.submit("acme", cell.task("b", eta="+1000")))
    cell.pass_time(1000)
    assert woken(cell.due)
    assert woken(lambda: cell.cancel("a"))
