"""claim: fair between tenants, strict inside one, FIFO in a lane, and past what is blocked."""

from __future__ import annotations

from collections import Counter

from godel_tasks.domain.task import TaskState
from godel_tasks.store.queue import SlotRange
from tests.cell import ANY_CLASS, Cell, back, ids, retry


def test_weights_are_shares(cell: Cell) -> None:
    # Given three backlogged tenants of weights 4, 2, 1
    for name, weight in (("a", 4), ("b", 2), ("c", 1)):
        cell.tenant(name, weight)
        cell.submit(name, count=100)
    cell.dispatcher("d1")
    # When 70 slots are filled
    taken = cell.take("d1", 70)
    # Then exactly by weight
    assert Counter(t.record.tenant_id for t in taken) == {"a": 40, "b": 20, "c": 10}


def test_a_new_weight_acts_on_the_backlog_at_once(cell: Cell) -> None:
    for name in ("a", "b"):
        cell.tenant(name)
        cell.submit(name, count=100)
    cell.dispatcher("d1")
    cell.succeed("d1", *cell.take("d1", 20))
    # When b is to get three times as much
    cell.run(cell.tenants.change("b", {"weight": "3"}))
    # Then the very next batch says so
    taken = cell.take("d1", 40)
    assert Counter(t.record.tenant_id for t in taken) == {"a": 10, "b": 30}


def test_a_tenant_that_comes_late_has_no_arrears(cell: Cell) -> None:
    # Given a tenant that was served a lot
    cell.tenant("busy")
    cell.submit("busy", count=100)
    cell.dispatcher("d1")
    cell.succeed("d1", *cell.take("d1", 50))
    # When another comes
    cell.tenant("late")
    cell.submit("late", count=100)
    # Then they share from now on
    taken = cell.take("d1", 20)
    assert Counter(t.record.tenant_id for t in taken) == {"busy": 10, "late": 10}


def test_cost_is_what_is_shared(cell: Cell) -> None:
    # Given two tenants of one weight; the tasks of one run four times as long
    for name in ("long", "short"):
        cell.tenant(name)
        cell.submit(name, count=400)
    cell.dispatcher("d1")
    # When they run one after the other for a while
    counts: Counter[str] = Counter()
    for _ in range(300):
        (task,) = cell.take("d1")
        counts[task.record.tenant_id] += 1
        cell.succeed("d1", task, actual_ms=400 if task.record.tenant_id == "long" else 100)
    # Then each got half of the time
    assert 0.9 < 4 * counts["long"] / counts["short"] < 1.1


def test_the_higher_level_goes_first_and_a_lane_is_fifo(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("n1"), cell.task("n2"), cell.task("l", level=3))
    cell.submit("acme", cell.task("h", level=1), cell.task("c", level=0))
    cell.dispatcher("d1")
    assert ids(cell.take("d1", 5)) == ["c", "h", "n1", "n2", "l"]


def test_a_waiting_task_rises_a_level_per_ageing_step(cell: Cell) -> None:
    # Given a low task that waits for three steps
    cell.tenant("acme")
    cell.submit("acme", cell.task("old", level=3))
    cell.pass_time(30_000)
    cell.submit("acme", cell.task("new", level=0), cell.task("newer", level=1))
    # Then it stands beside a new one of the highest level, and is older
    cell.dispatcher("d1")
    assert ids(cell.take("d1", 3, ageing_ms=10_000)) == ["old", "new", "newer"]


def test_a_class_without_a_slot_delays_nobody(cell: Cell) -> None:
    # Given a tenant whose first tasks fit nowhere, and thousands more of them
    cell.tenant("acme", max_queue=10_000)
    cell.submit("acme", *(cell.task(need="gpu", level=0) for _ in range(3000)))
    cell.submit("acme", cell.task("fits", level=3))
    cell.dispatcher("d1")
    # Then what fits is taken at once
    assert ids(cell.take("d1", 5)) == ["fits"]


def test_slots_are_filled_in_the_order_of_preference(cell: Cell) -> None:
    # Given three instances, of which each class may use some
    cell.tenant("acme")
    cell.submit("acme", cell.task("g1", need="gpu"), cell.task("g2", need="gpu"))
    cell.submit("acme", *(cell.task(f"n{i}") for i in range(3)))
    cell.dispatcher("d1")
    slots = [SlotRange("i1", 7, 10, 1), SlotRange("i2", 8, 20, 1), SlotRange("i3", 9, 30, 5)]
    # When a claim offers them
    reply = cell.claim("d1", slots=slots, preferences={"shared.gpu": [1], ANY_CLASS: [2, 0]})
    # Then each task has a slot that its class may use
    where = {t.record.task_id: (t.instance_id, t.generation, t.slot) for t in reply.tasks}
    assert where == {
        "g1": ("i2", 8, "d1/20"),
        "n0": ("i3", 9, "d1/30"),
        "n1": ("i3", 9, "d1/31"),
        "n2": ("i3", 9, "d1/32"),
    }
    # And what found none still waits
    assert reply.waiting == {"shared.gpu": 1}


def test_a_repeated_claim_reads_again_what_the_first_took(cell: Cell) -> None:
    # Given a claim whose reply was lost
    cell.tenant("acme")
    cell.submit("acme", count=5)
    cell.dispatcher("d1")
    first = cell.claim("d1", 3, batch=1)
    # When it is made again
    second = cell.claim("d1", 3, batch=1)
    # Then it is the same tasks in the same slots, and no more were taken
    assert {t.slot: t for t in second.tasks} == {t.slot: t for t in first.tasks}
    assert cell.status("acme").in_flight == 3
    # And the next batch goes on
    assert len(cell.claim("d1", 3, batch=2).tasks) == 2


def test_a_dispatcher_without_a_lease_gets_nothing(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", count=1)
    assert cell.claim("stranger").stale
    assert cell.status("acme").depth == 1


def test_an_expired_task_is_not_claimed(cell: Cell) -> None:
    # Given tasks with a time to start by, among others
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"), cell.task("late", start_by="+1000"), cell.task("b"))
    cell.dispatcher("d1")
    cell.pass_time(1000)
    # When the time is over
    assert ids(cell.take("d1", 5)) == ["a", "b"]
    # Then it ended, once
    assert cell.status("acme").expired == 1
    assert cell.publish_all("d1")["late"].startswith(b"!X acme ")
    assert cell.due() == 0


def test_handed_back_tasks_stand_where_they_stood(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(name) for name in "abcd"))
    cell.dispatcher("d1")
    taken = cell.take("d1", 3)
    # When two of the three come back
    cell.settle("d1", back(taken[0]), back(taken[2]))
    # Then they go first again, in their order, and that cost no attempt
    again = cell.take("d1", 3)
    assert ids(again) == ["a", "c", "d"]
    assert [t.record.attempt for t in again] == [1, 1, 1]
    assert cell.status("acme").in_flight == 4


def test_a_retry_goes_to_the_tail_as_the_next_attempt(cell: Cell) -> None:
    # Given a task that failed, and another one behind it
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(name) for name in "ab"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", retry(a, after_ms=500))
    # When its back-off is over
    cell.pass_time(500)
    cell.due()
    # Then the other one goes first
    again = cell.take("d1", 2)
    assert ids(again) == ["b", "a"]
    assert again[1].record.attempt == 2
    assert again[1].epoch == a.epoch + 1


def test_what_was_lost_with_an_instance_goes_first_again(cell: Cell) -> None:
    # Given tasks that waited their turn, and were lost with their instance
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(name) for name in "abcd"))
    cell.dispatcher("d1")
    a, b, c = cell.take("d1", 3)
    cell.settle("d1", retry(a), back(b), retry(c))
    # Then they do not wait a second time, and keep their order and their place
    again = cell.take("d1", 4)
    assert ids(again) == ["a", "b", "c", "d"]
    assert [t.record.attempt for t in again] == [2, 1, 2, 1]
    assert [t.record.sequence for t in again] == [1, 2, 3, 4]


def test_many_tenants_are_served_in_the_exact_order_of_their_virtual_time(cell: Cell) -> None:
    # Given more tenants than claim reads at once
    cell.dispatcher("d1")
    names = [f"t{i:02d}" for i in range(40)]
    for name in names:
        cell.tenant(name)
        cell.submit(name, count=3)
    # When each task ends sooner than was estimated, the last tenant's most of all
    for i, task in enumerate(cell.take("d1", 40)):
        cell.succeed("d1", task, actual_ms=100 - 2 * i)
    # Then the refunds decide who is next
    assert [t.record.tenant_id for t in cell.take("d1", 10)] == names[:29:-1]


def test_a_claimed_task_is_known_as_claimed_then_running(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    entry = cell.entry("a")
    assert entry is not None
    assert (entry.state, entry.owner, entry.epoch) == (TaskState.CLAIMED, "d1", 1)
    # When its instance took it, only its owner of now can say so
    assert cell.run(cell.queue.mark_running(dispatcher="d2", tasks=[("a", a.epoch)])) == 0
    assert cell.run(cell.queue.mark_running(dispatcher="d1", tasks=[("a", 7)])) == 0
    assert cell.run(cell.queue.mark_running(dispatcher="d1", tasks=[("a", a.epoch)])) == 1
    assert cell.letter("a") == "R"
