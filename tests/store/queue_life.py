"""Dispatchers of the model test: their leases, deaths and burials, in virtual time."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from godel_tasks.store.executor import SyncExecutor
from tests.cell import Cell
from tests.store.queue_model import QueueModel

LEASE_MS = 3000


class Life(RuleBasedStateMachine):
    """What every verb needs: a cell, its model, and who is alive."""

    client: Any

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.cell = Cell(SyncExecutor(self.client))
        self.model = QueueModel()
        self.serial = 0
        self.names = ["d1", "d2"]
        self.dead: list[str] = []
        self.leases: dict[str, int] = {}
        self.condemned: set[str] = set()
        self.tick = 0
        self.grace_until = 0
        #: Task, owner and epoch of what was taken or given away.
        self.past_owners: list[tuple[str, str, int]] = []

    def next(self) -> int:
        self.serial += 1
        return self.serial

    def renew(self, name: str) -> None:
        now = self.cell.now
        reply = self.cell.run(self.cell.leases.renew(dispatcher=name, lease_ms=LEASE_MS))
        assert reply.stale == (name in self.condemned)
        if reply.stale:
            return
        if now - self.tick > 1000:
            self.grace_until = now + LEASE_MS
        self.tick, self.leases[name] = now, now + LEASE_MS
        assert reply.held == len(self.model.held(name))
        asked = {t.task_id for t in self.model.held(name) if t.cancel_asked}
        assert reply.cancels is not None
        assert reply.cancels.keys() == asked
        assert set(reply.dead) == {n for n, end in self.leases.items() if end <= now}

    @rule(ms=st.sampled_from([1, 100, 700, 2000, 10_000, 700_000]), steps=st.integers(1, 12))
    def time_passes(self, ms: int, steps: int) -> None:
        """In steps, with renewals; a long one is a stall of everything."""
        for _ in range(steps if ms == 700 else 1):
            self.cell.pass_time(ms)
            for name in self.names:
                self.renew(name)

    @rule(data=st.data(), really=st.sampled_from([True, False, False]))
    def a_dispatcher_dies(self, data: st.DataObject, really: bool) -> None:
        if not really:
            return
        name = data.draw(st.sampled_from(self.names))
        self.names.remove(name)
        self.dead.append(name)
        self.names.append(f"e{self.next()}")
        self.renew(self.names[-1])

    @precondition(lambda self: self.dead)
    @rule(data=st.data(), limit=st.sampled_from([1, 500]))
    def reap(self, data: st.DataObject, limit: int) -> None:
        now, by = self.cell.now, data.draw(st.sampled_from(self.names))
        dead = data.draw(st.sampled_from(self.dead))
        outcome = self.cell.run(self.cell.leases.condemn(reaper=by, dead=dead)).outcome
        if now < self.grace_until:
            assert outcome == "grace"
        elif self.leases[by] <= now:
            assert outcome == "stale"
        elif self.leases[dead] > now:
            assert outcome == "alive"
        else:
            assert outcome == "ok"
            self.condemned.add(dead)
        if dead not in self.condemned:
            return
        reap = self.cell.leases.reap(reaper=by, dead=dead, finish=True, limit=limit)
        if self.leases[by] <= now:
            assert self.cell.run(reap).outcome == "stale"
            return
        while (reply := self.cell.run(reap)).outcome == "ok":
            for held in reply.tasks:
                task = self.model.tasks[held.record.task_id]
                assert task.owner == dead
                self.past_owners.append((task.task_id, dead, task.epoch))
                task.owner, task.batch = by, 0
                task.epoch += 1
            taken = self.cell.run(
                self.cell.leases.take_outbox(dispatcher=by, source=dead, limit=limit)
            )
            theirs = self.model.outboxes.get(dead, {})
            for task_id in taken:
                self.model.outboxes.setdefault(by, {})[task_id] = theirs.pop(task_id)
        assert reply.outcome == "done"
        assert self.model.held(dead) == []
        assert not self.model.outboxes.pop(dead, None)
        self.dead.remove(dead)
        del self.leases[dead]
