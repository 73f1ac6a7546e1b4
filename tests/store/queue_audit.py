"""A look at everything that stands in a cell, compared with the model."""

from __future__ import annotations

from collections import Counter

from tests.cell import Cell
from tests.store.queue_model import COUNTERS, Lane, QueueModel, Task


def _texts(flat: dict[bytes, bytes]) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in flat.items()}


class Audit:
    """One look, and what it must find."""

    def __init__(self, cell: Cell, model: QueueModel, dispatchers: list[str]) -> None:
        self.cell, self.model = cell, model
        server, key = cell.server, cell.key
        self.index = _texts(server("HGETALL", key("index")))
        self.parked = server("HGETALL", key("parked"))
        self.due = {
            m.decode(): int(score)
            for m, score in cell.server("ZRANGE", key("due"), 0, -1, "WITHSCORES")
        }
        self.dispatchers = dispatchers

    def check(self) -> None:
        self.sync_late()
        self.states()
        self.counts()
        self.lanes()
        self.times()
        self.outboxes()

    def sync_late(self) -> None:
        """Tasks past their time may end whenever somebody comes upon them."""
        for task in self.model.alive():
            if task.task_id not in self.index and task.state == "W":
                assert task.late(self.cell.now), f"{task.task_id} is lost"
                self.model.end(task, "X", b"!X", self.cell.now)

    def states(self) -> None:
        alive = {t.task_id: t for t in self.model.alive()}
        assert self.index.keys() == alive.keys()
        for task_id, entry in self.index.items():
            state, epoch, _, owner, tenant, class_id, level, digest, flags = entry.split(" ")
            task = alive[task_id]
            assert (state, int(epoch), owner) == (task.state, task.epoch, task.owner), task_id
            assert (tenant, class_id, int(level)) == task.lane
            assert digest == task.digest
            assert (flags == "c") == task.cancel_asked
        parked = {t.task_id for t in alive.values() if t.state in {"D", "H"}}
        assert {k.decode() for k in self.parked} == parked
        for name in self.dispatchers:
            held = self.cell.run(self.cell.leases.held(dispatcher=name))
            found = {h.record.task_id: h for h in held}
            expected = {t.task_id: t for t in self.model.held(name)}
            assert found.keys() == expected.keys(), f"{name} holds something else"
            for task_id, h in found.items():
                task = expected[task_id]
                assert (h.epoch, h.slot, h.batch) == (task.epoch, task.slot, task.batch)
                assert h.record.attempt == task.attempt

    def counts(self) -> None:
        waiting, live = Counter[str](), Counter[str]()
        for task in self.model.alive():
            live[task.class_id] += 1
            waiting[task.class_id] += task.state == "W"
        assert self.cell.run(self.cell.look.waiting()) == +waiting
        assert {
            k: int(v) for k, v in _texts(self.cell.server("HGETALL", self.cell.key("live"))).items()
        } == live
        assert self.cell.run(self.cell.leases.classes()).keys() == live.keys()
        for name, tenant in self.model.tenants.items():
            status, own = self.cell.status(name), self.model.alive(name)
            assert status.depth == self.model.depth(name), f"depth of {name}"
            assert status.in_flight == sum(t.is_held for t in own), f"in flight of {name}"
            assert status.submitted == tenant.submitted
            assert status.config.weight == tenant.weight
            ends = Counter(
                COUNTERS[t.state]
                for t in self.model.tasks.values()
                if t.tenant == name and t.is_over
            )
            for counter in COUNTERS.values():
                assert getattr(status, counter) == ends[counter], f"{counter} of {name}"

    def lanes(self) -> None:
        """Each lane holds its waiting tasks in order, tombstones apart, and those are counted."""
        prefix, tombs = self.cell.key("lane:"), Counter[str]()
        for key in self.cell.all_keys():
            if not key.startswith(prefix):
                continue
            field = key.removeprefix(prefix)
            tenant, class_id, level = field.split(":")
            lane: Lane = (tenant, class_id, int(level))
            order: list[str] = []
            for record in self.cell.run(self.cell.look.lane(*lane, 0, -1)):
                entry = self.index.get(record.task_id, "").split(" ")
                if entry[0] == "W" and entry[2] == str(record.sequence):
                    order.append(record.task_id)
                else:
                    tombs[field] += 1
            assert order == self.model.lanes.get(lane, []), f"order of {field}"
            if order:
                ready = self.cell.server("ZSCORE", self.cell.key(f"ready:{class_id}"), tenant)
                assert ready is not None, f"{tenant} waits in {class_id} and is not ready"
        stored = _texts(self.cell.server("HGETALL", self.cell.key("tombs")))
        assert {k: int(v) for k, v in stored.items()} == +tombs
        lanes_here = {k.removeprefix(prefix) for k in self.cell.all_keys() if k.startswith(prefix)}
        for lane, ids in self.model.lanes.items():
            assert not ids or ":".join(map(str, lane)) in lanes_here, f"{lane} is lost"

    def times(self) -> None:
        for task in self.model.alive():
            expected = self._due_of(task)
            for member, at in expected.items():
                assert self.due.get(member) == at, f"{member} is due at {self.due.get(member)}"
        known = {t.task_id for t in self.model.alive()}
        assert {member[2:] for member in self.due} <= known

    @staticmethod
    def _due_of(task: Task) -> dict[str, int]:
        due: dict[str, int] = {}
        if task.state == "D":
            due[f"d:{task.task_id}"] = task.due_at
        if task.state == "H":
            due[f"h:{task.task_id}"] = task.due_at
        if task.state in {"W", "D"} and task.start_by:
            due[f"x:{task.task_id}"] = task.start_by
        return due

    def outboxes(self) -> None:
        """Every end that is not published stands in one outbox, and no other."""
        for owner in ["-", *self.dispatchers]:
            found = self.cell.run(self.cell.leases.own_outbox(dispatcher=owner))
            expected = self.model.outboxes.get(owner, {})
            assert found.keys() == expected.keys(), f"outbox of {owner}"
            for task_id, entry in found.items():
                assert entry.startswith(expected[task_id])
