"""register, report, attend, depart, slots, orphan_slots: instances and their slots."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics, InstanceStatus
from godel_tasks.errors import InstanceError
from godel_tasks.openclaw.registering import register_instance
from godel_tasks.store.keys import InstanceKeys
from godel_tasks.store.registry import SlotsReply, record_of
from tests.cell import Cell

CONFIG = InstanceConfig(
    "gw-1", "10.0.0.1:7000", capacity=3, region="eu", capabilities={"model": "large"}
)


def _register(cell: Cell, config: InstanceConfig = CONFIG) -> int:
    return cell.run(cell.registry.register(config))


def _slots(cell: Cell, dispatcher: str = "d1", **options) -> SlotsReply:
    options.setdefault("generation", 1)
    return cell.run(cell.registry.slots(instance_id="gw-1", dispatcher=dispatcher, **options))


def test_an_instance_says_who_it_is(cell: Cell) -> None:
    # When it registers, attends and reports
    assert _register(cell) == 1
    cell.run(
        cell.registry.attend(instance_ids=["gw-1"], lease_ms=3000, event="instance.registered")
    )
    metrics = InstanceMetrics(cpu_usage=0.25, queued_tasks=4)
    report = cell.registry.report(instance_id="gw-1", generation=1, metrics=metrics, draining=False)
    assert cell.run(report)
    # Then the registry says so
    fleet = cell.run(cell.registry.fleet())
    assert (fleet.now_ms, fleet.leases) == (cell.now, {"gw-1": cell.now + 3000})
    assert fleet.newest_event != "0-0"
    fields: dict[str, str] = cell.run(cell.registry.fields(instance_id="gw-1"))
    record = record_of("gw-1", fields, fleet.leases["gw-1"])
    assert record.config == CONFIG
    assert record.metrics == metrics
    assert (record.generation, record.status) == (1, InstanceStatus.UP)
    # And when it departs, it is out of the registry
    assert cell.run(cell.registry.depart(instance_id="gw-1"))
    assert not cell.run(cell.registry.depart(instance_id="gw-1"))
    assert cell.run(cell.registry.fleet()).leases == {}


def test_one_that_dies_before_anybody_attends_it_is_forgotten(cell: Cell) -> None:
    # Given an instance that only registered
    _register(cell)
    key = InstanceKeys.of("gw-1").info
    # Then what it left goes by itself within a day
    assert 0 < cell.server("PTTL", key) <= 86_400_000
    # And what is kept stays, until it registers anew
    cell.run(cell.registry.keep(instance_id="gw-1"))
    assert cell.server("PTTL", key) == -1


def test_a_stale_registration_can_write_nothing(cell: Cell) -> None:
    assert (_register(cell), _register(cell)) == (1, 2)

    def report(generation: int) -> bool:
        return cell.run(
            cell.registry.report(
                instance_id="gw-1",
                generation=generation,
                metrics=InstanceMetrics(),
                draining=True,
            )
        )

    assert not report(1)
    assert cell.run(cell.registry.fields(instance_id="gw-1"))["status"] == "up"
    assert report(2)
    # And what was declared dead must register again
    cell.run(cell.registry.set_status(instance_id="gw-1", status=InstanceStatus.DEAD))
    assert not report(2)
    assert (_register(cell), report(3)) == (3, True)


def test_no_more_slots_than_capacity(cell: Cell) -> None:
    _register(cell)
    assert _slots(cell, "d1", first=0, count=2).granted == 2
    assert _slots(cell, "d2", first=0, count=2) == SlotsReply("up", 1, 1, 3, 3, 0, "closed")
    assert _slots(cell, "d2", first=2, count=2).granted == 0
    # When some are given back, others take them in the same call
    reply = _slots(cell, "d2", first=4, count=2, free=["d2/0"])
    assert (reply.granted, reply.used) == (1, 3)


def test_a_repeated_reservation_is_the_same_one(cell: Cell) -> None:
    _register(cell)
    first = _slots(cell, first=0, count=2)
    assert _slots(cell, first=0, count=2) == first
    assert first.used == 2


@pytest.mark.parametrize("status", [InstanceStatus.DRAINING, InstanceStatus.DEAD])
def test_an_instance_that_is_not_up_gives_no_slots_and_takes_them_back(
    cell: Cell, status: InstanceStatus
) -> None:
    _register(cell)
    _slots(cell, first=0, count=2)
    cell.run(cell.registry.set_status(instance_id="gw-1", status=status))
    reply = _slots(cell, first=2, count=1, free=["d1/0"])
    assert (reply.status, reply.granted, reply.used) == (status.value, 0, 1)


def test_another_generation_gives_no_slots(cell: Cell) -> None:
    # Given slots of an instance that came again: whatever ran there is over
    _register(cell)
    _slots(cell, first=0, count=3)
    _register(cell)
    assert _slots(cell, first=3, count=1, generation=1).granted == 0
    assert _slots(cell, first=3, count=3, generation=2).granted == 3


def test_an_unknown_instance_is_gone(cell: Cell) -> None:
    assert _slots(cell, first=0, count=1).status == "gone"


def test_orphaned_slots_count_until_their_runs_are_over(cell: Cell) -> None:
    # Given a dispatcher that died with one run, one reservation and a neighbour
    _register(cell)
    _slots(cell, "d1", first=0, count=2)
    _slots(cell, "d11", first=0, count=1)
    orphan = cell.registry.orphan(
        instance_id="gw-1", owner="d1", slots={"d1/0": "task:1"}, free_rest=True
    )
    assert cell.run(orphan) == 1
    # Then its run keeps its slot, the reservation is free, the neighbour's untouched
    assert cell.run(cell.registry.orphans(instance_id="gw-1")) == {"d1/0": "task:1"}
    reply = _slots(cell, "d2", first=0, count=2)
    assert (reply.granted, reply.used, reply.orphaned) == (1, 3, 1)
    # And doing it again changes nothing
    assert cell.run(orphan) == 0
    # When the run's end is known, its slot is free
    assert _slots(cell, "d2", first=1, count=1, free=["d1/0"]).granted == 1
    used = [cell.run(command) for command in cell.registry.slots_used(instance_id="gw-1")]
    assert used == [3, 0]


def test_a_forgotten_instance_leaves_nothing(cell: Cell) -> None:
    _register(cell)
    _slots(cell, first=0, count=1)
    cell.run(cell.registry.forget(instance_id="gw-1"))
    assert list(cell.all_keys()) == []


def test_what_an_operator_wants_outlives_heartbeats(cell: Cell) -> None:
    # Given an instance that an operator drains and gives less
    def status() -> tuple[str, str]:
        fields = cell.run(cell.registry.fields(instance_id="gw-1"))
        return fields["status"], fields["capacity"]

    generation = _register(cell)
    assert cell.run(cell.registry.change(instance_id="gw-1", draining=True, capacity=2))
    # When it goes on saying that it is up
    report = cell.registry.report(
        instance_id="gw-1", generation=generation, metrics=InstanceMetrics(), draining=False
    )
    assert cell.run(report)
    # Then it drains all the same, and gets no slots
    assert status() == ("draining", "2")
    assert _slots(cell, count=1).granted == 0
    # And so it does when it crashes and comes back, with its own capacity
    _register(cell)
    assert status() == ("draining", "3")
    # Until the operator takes it back
    assert cell.run(cell.registry.change(instance_id="gw-1", draining=False))
    assert status() == ("up", "3")
    assert _slots(cell, generation=2, count=1).granted == 1


def test_an_instance_that_is_gone_is_not_changed(cell: Cell) -> None:
    assert not cell.run(cell.registry.change(instance_id="gw-1", draining=True, capacity=2))
    assert cell.run(cell.registry.fields(instance_id="gw-1")) == {}


def _claim(cell: Cell, who: str, generation: int = 1) -> str:
    return cell.run(
        cell.registry.claim_boot(
            instance_id="gw-1", generation=generation, dispatcher=who, hold_ms=1000
        )
    )


def _reboot(cell: Cell, who: str, generation: int = 1) -> int:
    return cell.run(
        cell.registry.reboot(
            instance_id="gw-1", generation=generation, dispatcher=who, boot_id="b-2"
        )
    )


def test_one_dispatcher_alone_makes_a_new_boot_ready(cell: Cell) -> None:
    # Given an attended instance with a slot in use, and two dispatchers that saw its new boot
    _register(cell)
    _slots(cell, first=0, count=1)
    assert (_claim(cell, "d1"), _claim(cell, "d2"), _claim(cell, "d1")) == ("ok", "busy", "ok")
    # When the one that holds the claim is done, and the other one tries as well
    assert (_reboot(cell, "d2"), _reboot(cell, "d1"), _reboot(cell, "d1")) == (0, 2, 0)
    # Then there is one new generation, for that boot, and its slots are free
    fields = cell.run(cell.registry.fields(instance_id="gw-1"))
    assert (fields["generation"], fields["boot_id"], fields["status"]) == ("2", "b-2", "up")
    assert "attendant" not in fields
    assert _slots(cell, "d1", first=0, count=3, generation=2).granted == 3
    # And what is claimed for the old generation comes too late
    assert _claim(cell, "d2") == "stale"


def test_a_claim_on_a_boot_passes_on_when_its_holder_is_gone(cell: Cell) -> None:
    _register(cell)
    assert _claim(cell, "d1") == "ok"
    cell.pass_time(1001)
    assert (_claim(cell, "d2"), _reboot(cell, "d1"), _reboot(cell, "d2")) == ("ok", 0, 2)


def test_an_instance_that_an_operator_drains_drains_in_its_next_boot(cell: Cell) -> None:
    _register(cell)
    cell.run(cell.registry.change(instance_id="gw-1", draining=True))
    _claim(cell, "d1")
    _reboot(cell, "d1")
    assert cell.run(cell.registry.fields(instance_id="gw-1"))["status"] == "draining"


def test_an_attended_instance_that_is_registered_gives_no_slots_before_it_is_ready(
    cell: Cell,
) -> None:
    # Given a gateway that serves some boot, and is registered anew
    config = InstanceConfig("gw-1", "ws://h:1", driver="openclaw", capacity=3)
    runtime = SimpleNamespace(registry=cell.registry, store=cell.executor)
    register_instance(runtime, config)
    _claim(cell, "d1")
    _reboot(cell, "d1")
    assert _slots(cell, first=0, count=1, generation=2).granted == 1
    register_instance(runtime, config)
    # Then it is given nothing, and stands for no boot, until somebody has looked at it
    fields = cell.run(cell.registry.fields(instance_id="gw-1"))
    assert (fields["status"], fields.get("boot_id")) == ("dead", None)
    assert _slots(cell, first=0, count=1, generation=3).granted == 0
    _claim(cell, "d1", generation=3)
    assert _reboot(cell, "d1", generation=3) == 4
    assert _slots(cell, first=0, count=1, generation=4).granted == 1


@pytest.mark.parametrize("name", ["gw~1", "gw!", "a b", "", "a:b", "x" * 129])
def test_an_id_that_would_be_read_as_something_else_is_refused(cell: Cell, name: str) -> None:
    with pytest.raises(InstanceError, match="cannot be used"):
        cell.registry.register(InstanceConfig(name, "h:1"))
