"""Nothing is lost and nothing runs twice when what lies around the intake dies."""

from __future__ import annotations

import signal
import uuid

import redis

from godel_tasks.embedded import EmbeddedServer
from godel_tasks.errors import StoreUnavailable
from tests.helpers import wait_until
from tests.intake.conftest import QUEUE, Bare, all_taken, control_worker
from tests.world import World


def end_control(world: World) -> None:
    world.processes["control"].terminate()
    world.processes["control"].wait()


def visible_again(broker: redis.Redis) -> None:
    """As if the visibility timeout of what a dead worker held were over."""
    for tag in broker.zrange("unacked_index", 0, -1):
        broker.zadd("unacked_index", {str(tag): 1})


def answers(world: World) -> bool:
    try:
        return world.tenant("acme") != ""
    except StoreUnavailable:
        return False


def test_killed_between_enqueue_and_acknowledgement_it_runs_once(
    world: World, bare: Bare, broker: redis.Redis
):
    # Given a control worker that is killed as soon as it has enqueued a task
    end_control(world)
    dying = control_worker(world, "tests.intake.dying")
    task_id = bare.send("acme", {"sleep": 3})
    assert dying.wait() == -signal.SIGKILL
    # Then the task is Godel's, and its message is not acknowledged
    wait_until(lambda: world.state(task_id) == "RUNNING", description="it runs", timeout=10)
    assert broker.hlen("unacked") == 1
    # When the message comes again, to the next control worker, while the task runs
    visible_again(broker)
    control_worker(world)
    all_taken(broker)
    assert world.state(task_id) == "RUNNING"
    # Then it has run once when its result is there
    assert bare.get(task_id)["result"]["task"] == task_id
    assert len(world.starts(task_id)) == 1


def test_what_is_revoked_before_it_is_taken_in_never_runs(
    world: World, bare: Bare, broker: redis.Redis
):
    # Given messages that wait for a control worker
    end_control(world)
    task_ids = [bare.send("acme", {"n": n}) for n in range(2)]
    # When the client revokes one
    bare.tell(revoke=task_ids[0])
    wait_until(
        lambda: bare.tell(state=task_ids[0]) == "REVOKED", description="it is revoked", timeout=10
    )
    # Then that one does not run when a worker comes, and the other does
    control_worker(world)
    assert "result" in bare.get(task_ids[1])
    all_taken(broker)
    assert bare.get(task_ids[0])["state"] == "REVOKED"
    assert world.starts(task_ids[0]) == []


def test_a_store_that_is_away_is_waited_for(
    world: World, bare: Bare, broker: redis.Redis, state_server: EmbeddedServer
):
    # Given Godel's state on a server that is away, while the broker is there
    state_server.stop()
    try:
        # When messages come, more than a worker takes at once
        task_ids = [bare.send("acme", {"n": n}) for n in range(6)]
        control = world.processes["control"]
        control.wait_for("intake.waits")
        # Then nothing is told to anybody, none is acknowledged, and the rest stays in the broker
        assert [bare.tell(state=task_id) for task_id in task_ids] == ["PENDING"] * 6
        wait_until(lambda: broker.hlen("unacked") == 4, description="four are held")
        assert broker.llen(QUEUE) == 2
    finally:
        # When it comes back
        state_server.start()
        wait_until(lambda: answers(world), description="the state answers")
    # Then each of them runs, once
    assert all("result" in bare.get(task_id) for task_id in task_ids)
    assert [len(world.starts(task_id)) for task_id in task_ids] == [1] * 6
    all_taken(broker)


def test_told_to_stop_it_gives_back_what_it_holds(world: World, bare: Bare, broker: redis.Redis):
    # Given a message that waits for room in a full queue
    tenant = world.tenant(f"full-{uuid.uuid4().hex[:8]}", max_queue=1)
    blocker = world.submit(tenant, {}, countdown=60).id
    task_id = bare.send(tenant, {"n": 1})
    wait_until(lambda: broker.hlen("unacked") == 1, description="it is held")
    # When the worker is told to stop
    end_control(world)
    # Then the message is in the queue again, and the next worker takes it in
    assert (broker.llen(QUEUE), broker.hlen("unacked")) == (1, 0)
    world.cancel(blocker)
    control_worker(world)
    assert bare.get(task_id)["result"]["payload"] == {"n": 1}
