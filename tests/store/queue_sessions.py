"""Sessions of the model test: moved, ended, forgotten; and what comes due, which they depend on."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.store.queue_life import Life

NEEDS = ("0", "gpu")


class SessionRules(Life):
    """What happens to sessions beside their tasks."""

    def settle_late_heads(self) -> None:
        """What follows a late head depends on who comes upon it; here it is always `due`."""
        while any(
            t.session and t.state == "W" and t.late(self.cell.now) for t in self.model.alive()
        ):
            self.due(200)

    @rule(data=st.data())
    def move_sessions(self, data: st.DataObject) -> None:
        waiting = {lane[1] for lane, ids in self.model.lanes.items() if ids}
        pinned = sorted(c for c in waiting if "~" in c and c[-1] not in "~!")
        class_id = data.draw(st.sampled_from(pinned or ["shared.0~i0"]))
        self.cell.sweep()
        assert self.cell.move(class_id) == self.model.move(class_id)
        assert self.cell.move(f"{class_id}!") == 0

    @precondition(lambda self: self.model.sessions.by_name)
    @rule(data=st.data(), limit=st.sampled_from([1, 200]))
    def end_session(self, data: st.DataObject, limit: int) -> None:
        name = data.draw(st.sampled_from(list(self.model.sessions.by_name)))
        self.settle_late_heads()
        if name in self.model.sessions.by_name:
            reply = self.cell.end_session(name, limit=limit)
            self.model.end_session(name, self.cell.now, limit)
            session = self.model.sessions.by_name.get(name)
            assert reply.left == (len(session.members) if session else 0)

    @rule()
    def forget_sessions(self) -> None:
        reply = self.cell.run(self.cell.sessions.idle())
        assert (reply.forgotten, set(reply.unfinished)) == self.model.sessions.idle(self.cell.now)

    @rule(limit=st.sampled_from([1, 200]))
    def due(self, limit: int) -> None:
        now = self.cell.now
        members = self.cell.server("ZRANGEBYSCORE", self.cell.key("due"), 0, now, "LIMIT", 0, limit)
        handled, next_due = self.cell.run(self.cell.queue.due(limit=limit))
        assert handled == len(members)
        for member in members:
            kind, task_id = member.decode()[0], member.decode()[2:]
            task = self.model.tasks[task_id]
            if kind == "d" and task.state == "D" and not task.late(now):
                self.model.promote(task, now)
            elif kind in "dx" and task.state in {"W", "D"}:
                assert task.late(now)
                self.model.end(task, "X", b"!X", now)
            elif kind == "h" and task.state == "H":
                self.model.end(task, "F", b"!F", now)
        if limit == 200:
            assert next_due is None or next_due > now
