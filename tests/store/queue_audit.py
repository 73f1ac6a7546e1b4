"""A look at everything that stands in a cell, in one round trip, compared with the model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from godel_tasks.store.records import parse_held, parse_record
from godel_tasks.store.tenants import status_of
from tests.cell import Cell
from tests.store.queue_model import COUNTERS, Lane, QueueModel, Task

#: Every key with its content, flat where it has fields.
_DUMP = """
local READ = {
  hash = {'HGETALL'}, list = {'LRANGE', 0, -1}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'},
  set = {'SMEMBERS'}, string = {'GET'}}
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local read = READ[redis.call('TYPE', key).ok]
  out[#out + 1] = {key, redis.call(read[1], key, unpack(read, 2))}
end
return out
"""


class Audit:
    """One look, and what it must find."""

    def __init__(self, cell: Cell, model: QueueModel, dispatchers: list[str]) -> None:
        self.now, self.model, self.dispatchers = cell.now, model, dispatchers
        prefix = cell.key("")
        self.keys: dict[str, list[bytes]] = {
            key.decode().removeprefix(prefix): content
            for key, content in cell.server("EVAL", _DUMP, 0)
        }
        self.index = self.texts("index")
        self.due = {member: int(float(score)) for member, score in self.texts("due").items()}

    def fields(self, name: str) -> dict[str, bytes]:
        it = iter(self.keys.get(name, []))
        return {field.decode(): value for field, value in zip(it, it, strict=True)}

    def texts(self, name: str) -> dict[str, str]:
        return {field: value.decode() for field, value in self.fields(name).items()}

    def numbers(self, name: str) -> dict[str, int]:
        return {field: int(value) for field, value in self.fields(name).items()}

    def check(self) -> None:
        self.sync_late()
        self.states()
        self.holders()
        self.counts()
        self.lanes()
        self.times()
        self.outboxes()
        self.sessions()

    def sessions(self) -> None:
        """Each session has its head, its order and its instance; and no other one has keys."""
        known = self.model.sessions.by_name
        alive = {t.task_id: t.session for t in self.model.alive() if t.session}
        assert self.texts("sessioned") == alive
        assert self.fields("sessions").keys() == known.keys()
        assert {m: int(float(at)) for m, at in self.texts("sessions").items()} == {
            name: session.look_at for name, session in known.items()
        }
        assert self.numbers("pinned") == self.model.sessions.pinned()
        kept = {k.partition(":")[2] for k in self.keys if k.startswith("session:")}
        assert kept == known.keys()
        for name, session in known.items():
            fields = self.texts(f"session:{name}")
            assert fields.get("head", "") == session.head
            assert fields.get("instance", "") == session.instance
            assert int(fields.get("moves", 0)) == session.moves
            assert ("ended" in fields) == session.ended
            assert [i.decode() for i in self.keys.get(f"behind:{name}", [])] == session.behind
            assert {i.decode() for i in self.keys.get(f"members:{name}", [])} == session.members

    def sync_late(self) -> None:
        """Tasks past their time may end whenever somebody comes upon them."""
        for task in self.model.alive():
            if task.task_id not in self.index and task.state == "W":
                assert not task.session, f"{task.task_id} ended, and nobody saw it"
                assert task.late(self.now), f"{task.task_id} is lost"
                self.model.end(task, "X", b"!X", self.now)

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
            assert (flags == "s") == task.behind
        parked = {t.task_id for t in alive.values() if t.state in {"D", "H"} or t.behind}
        assert self.fields("parked").keys() == parked

    def holders(self) -> None:
        for name in self.dispatchers:
            found = {i: parse_held(value) for i, value in self.fields(f"held:{name}").items()}
            expected = {t.task_id: t for t in self.model.held(name)}
            assert found.keys() == expected.keys(), f"{name} holds something else"
            for task_id, held in found.items():
                task = expected[task_id]
                assert (held.epoch, held.slot) == (task.epoch, task.slot)
                assert (held.batch, held.record.attempt) == (task.batch, task.attempt)

    def counts(self) -> None:
        waiting, live = Counter[str](), Counter[str]()
        for task in self.model.alive():
            live[task.class_id] += 1
            waiting[task.class_id] += task.state == "W" and not task.behind
        assert self.numbers("waiting") == +waiting
        assert self.numbers("live") == live
        assert self.fields("classes").keys() == live.keys()
        for name, tenant in self.model.tenants.items():
            status = status_of(name, self.texts(f"tenant:{name}"))
            own = [t for t in self.model.tasks.values() if t.tenant == name]
            assert status.depth == self.model.depth(name), f"depth of {name}"
            assert status.in_flight == sum(t.is_held for t in own), f"in flight of {name}"
            assert status.submitted == tenant.submitted
            assert status.config.weight == tenant.weight
            ends = Counter(COUNTERS[t.state] for t in own if t.is_over)
            for counter in COUNTERS.values():
                assert getattr(status, counter) == ends[counter], f"{counter} of {name}"

    def lanes(self) -> None:
        """Each lane holds its waiting tasks in order, tombstones apart, and those are counted."""
        tombs, orders = Counter[str](), dict[Lane, list[str]]()
        for key, content in self.keys.items():
            if not key.startswith("lane:"):
                continue
            field = key.removeprefix("lane:")
            tenant, class_id, level = field.split(":")
            order = orders.setdefault((tenant, class_id, int(level)), [])
            for record in map(parse_record, content):
                entry = self.index.get(record.task_id, "").split(" ")
                if entry[0] == "W" and entry[2] == str(record.sequence):
                    order.append(record.task_id)
                else:
                    tombs[field] += 1
            ready = self.fields(f"ready:{class_id}")
            assert not order or tenant in ready, f"{tenant} waits in {class_id}, and is not ready"
        for lane in orders.keys() | self.model.lanes.keys():
            assert orders.get(lane, []) == self.model.lanes.get(lane, []), f"order of {lane}"
        assert self.numbers("tombs") == +tombs

    def times(self) -> None:
        alive = self.model.alive()
        for task in alive:
            for member, at in _due_of(task).items():
                assert self.due.get(member) == at, f"{member} is due at {self.due.get(member)}"
        assert {member[2:] for member in self.due} <= {t.task_id for t in alive}

    def outboxes(self) -> None:
        """Every end that is not published stands in one outbox, and no other."""
        for owner in ["-", *self.dispatchers]:
            found, expected = self.fields(f"outbox:{owner}"), self.model.outboxes.get(owner, {})
            assert found.keys() == expected.keys(), f"outbox of {owner}"
            for task_id, entry in found.items():
                assert entry.startswith(expected[task_id])


def _due_of(task: Task) -> dict[str, Any]:
    due: dict[str, int] = {}
    if task.state == "D":
        due[f"d:{task.task_id}"] = task.due_at
    if task.state == "H":
        due[f"h:{task.task_id}"] = task.due_at
    if task.state in {"W", "D"} and task.start_by:
        due[f"x:{task.task_id}"] = task.start_by
    return due
