"""The queue against a plain Python model: any verbs in any order, on a real server.

`make test` runs a short seeded profile; GODEL_TEST_PROFILE=long searches on.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from godel_tasks.domain.task import NewTask
from godel_tasks.store.executor import connect_sync
from godel_tasks.store.queue import Settlement, SlotRange, Verb
from tests.keyleaks import leaks
from tests.store.queue_audit import Audit
from tests.store.queue_model import Task, Tenant
from tests.store.queue_sessions import NEEDS, SessionRules
from tests.store.session_model import TTL_MS

PROFILES = {
    "short": settings(
        max_examples=100,
        stateful_step_count=40,
        phases=[Phase.generate],  # found here, made small by the long profile
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    ),
    "long": settings(
        max_examples=int(os.environ.get("GODEL_TEST_EXAMPLES", "3000")),
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    ),
}

TENANTS = ("a", "b", "c")
AGEING_MS = 5000
VERBS = [Verb.TERMINAL, Verb.RETRY, Verb.BACK, Verb.HOLD]

moments = st.sampled_from(["0", "0", "0", "+1", "+400", "+6000", "1000"])
delays = st.sampled_from(["0", "0", "0", "+1", "+300", "+5000"])
new_tasks = st.lists(
    st.tuples(
        st.sampled_from([2, 2, 2, 0, 1, 3]),  # level: few lanes, so that they fill
        st.sampled_from(["0", "0", "0", "gpu"]),
        st.sampled_from(["-", "-", "x", "y"]),  # digest
        moments,
        delays,
        moments,
        st.integers(0, 5),  # 0: an id that was used before
        st.sampled_from(["", "", "s1", "s1", "s2", "h1"]),  # its session; h: a hard one
    ),
    min_size=1,
    max_size=8,
)


class Queue(SessionRules):
    """Verbs of producers, dispatchers, reapers and operators, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.last_claim: dict[str, tuple[int, dict[str, Any]]] = {}
        self.last_settle: dict[str, tuple[int, list[Settlement], tuple[bool, ...]]] = {}
        self.unroutable: dict[str, int] = {}

    @initialize()
    def begin(self) -> None:
        for name in self.names:
            self.renew(name)
        self.tenant("a", 1, 50)
        self.tenant("b", 4, 50)
        for name in ("a", "b", "a"):
            self.put(name, [self.cell.task(f"{name}{self.next()}") for _ in range(3)], check=False)
        for name, session, eta in (("a", "s1", "0"), ("b", "h1", "0"), ("a", "s1", "+300")):
            tasks = [
                self.cell.task(
                    f"{name}{self.next()}",
                    session=session,
                    hard=session == "h1",
                    ttl_ms=TTL_MS,
                    eta=eta,
                )
                for _ in range(2)
            ]
            self.put(name, tasks, check=False)

    # ----------------------------------------------------------------------------- operators

    @rule(
        name=st.sampled_from(TENANTS),
        weight=st.sampled_from([0.5, 1, 2, 4]),
        max_queue=st.sampled_from([3, 50]),
    )
    def tenant(self, name: str, weight: float, max_queue: int) -> None:
        self.cell.tenant(name, weight, max_queue)
        old = self.model.tenants.get(name)
        submitted = old.submitted if old else 0
        self.model.tenants[name] = Tenant(weight, max_queue, submitted)

    @rule(data=st.data(), running_too=st.booleans())
    def cancel(self, data: st.DataObject, running_too: bool) -> None:
        task = data.draw(st.sampled_from(list(self.model.tasks.values())))
        reply = self.cell.cancel(task.task_id, running_too=running_too)
        if task.is_over:
            expected = "settled" if task.remembered(self.cell.now) else "unknown"
        elif task.is_held:
            expected = "asked" if running_too else "running"
            task.cancel_asked |= running_too
        else:
            expected = "cancelled"
            self.model.end(task, "K", b"!K " + task.tenant.encode(), self.cell.now)
        assert reply.outcome == expected

    @precondition(lambda self: self.model.alive())
    @rule(data=st.data(), verdict=st.sampled_from(["retry", "fail", "succeed"]))
    def resolve(self, data: st.DataObject, verdict: str) -> None:
        alive = self.model.alive()
        task = data.draw(st.sampled_from([t for t in alive if t.state == "H"] or alive))
        answer = self.cell.run(self.cell.queue.resolve(task_id=task.task_id, verdict=verdict))
        if task.state != "H":
            assert answer == task.state
        elif verdict == "retry":
            self.model.again(task, self.cell.now, 0)
            self.model.promote(task, self.cell.now)  # it does not go first: time has passed
        else:
            letter = "S" if verdict == "succeed" else "F"
            self.model.end(task, letter, f"!{letter}".encode(), self.cell.now)

    @rule(
        need=st.sampled_from(NEEDS),
        pin=st.sampled_from(["", "", "~", "~i0!", "~i1!"]),
        limit_ms=st.sampled_from([500, 5000]),
    )
    def bury(self, need: str, pin: str, limit_ms: int) -> None:
        self.cell.sweep()
        self.settle_late_heads()
        class_id, now = f"shared.{need}{pin}", self.cell.now
        if not any(ids for lane, ids in self.model.lanes.items() if lane[1] == class_id):
            self.unroutable.pop(class_id, None)
        self.cell.run(self.cell.leases.mark_unroutable(class_id=class_id, now_ms=now))
        since = self.unroutable.setdefault(class_id, now)
        command = self.cell.queue.bury_class(class_id=class_id, limit_ms=limit_ms, why="no")
        self.cell.run(command)
        if now - since < limit_ms:
            return
        before = {i for ids in self.model.lanes.values() for i in ids}
        for (_, of, _), ids in sorted(self.model.lanes.items(), key=lambda item: item[0][2]):
            for task in [self.model.tasks[i] for i in ids] if of == class_id else []:
                gone = self.cell.entry(task.task_id) is None
                if task.late(now):
                    if gone:
                        self.model.end(task, "X", b"!X", now)
                elif now - task.entered < limit_ms:
                    break
                elif gone or task.task_id in before:
                    # One that followed another meanwhile may have been seen, or not.
                    self.model.end(task, "F", b"!F", now)
        self.forget_unroutable()

    def forget_unroutable(self) -> None:
        """Since when a class has been unroutable is forgotten with the class."""
        kept = self.cell.server("HKEYS", self.cell.key("unroutable"))
        names = {name.decode() for name in kept}
        self.unroutable = {k: v for k, v in self.unroutable.items() if k in names}

    # ----------------------------------------------------------------------------- producers

    @rule(name=st.sampled_from(TENANTS), specs=new_tasks, check=st.booleans(), data=st.data())
    def submit(self, name: str, specs: list[Any], check: bool, data: st.DataObject) -> None:
        if name not in self.model.tenants:
            assert not self.cell.submit(name, count=1).known
            return
        tasks: list[NewTask] = []
        for level, need, digest, start_by, eta, deadline, old, session in specs:
            known = [t for t in self.model.tasks.values() if not self.forgotten(t)]
            again = data.draw(st.sampled_from(known)) if old == 0 and known else None
            check |= again is not None
            tasks.append(
                self.cell.task(
                    again.task_id if again else f"t{self.next()}",
                    level=level,
                    need=need,
                    spec=need.strip("0"),
                    digest=digest,
                    start_by=start_by,
                    eta=eta,
                    deadline=deadline,
                    session=session,
                    hard=session.startswith("h"),
                    ttl_ms=TTL_MS,
                )
            )
        self.put(name, tasks, check=check)

    def put(self, name: str, tasks: list[NewTask], *, check: bool) -> None:
        expected = self.model.submit(name, tasks, check_settled=check, now=self.cell.now)
        reply = self.cell.submit(name, *tasks, check_settled=check)
        assert "".join(reply.admissions) == expected
        assert reply.depth == self.model.depth(name)

    def forgotten(self, task: Task) -> bool:
        return task.is_over and not task.remembered(self.cell.now)

    # --------------------------------------------------------------------------- dispatchers

    @precondition(lambda self: any(self.model.lanes.values()))
    @rule(
        data=st.data(),
        counts=st.lists(st.integers(0, 3), min_size=1, max_size=3),
        needs=st.sampled_from([["0"], ["gpu"], ["0", "gpu"], ["gpu", "0"]]),
    )
    def claim(self, data: st.DataObject, counts: list[int], needs: list[str]) -> None:
        name = data.draw(st.sampled_from(self.names))
        batch = self.next()
        slots = [SlotRange(f"i{i}", 1, batch * 100 + i * 10, n) for i, n in enumerate(counts)]
        numbers = list(range(len(slots)))
        self.settle_late_heads()
        preferences: dict[str, list[int]] = {}
        for need in needs:
            order = data.draw(st.permutations(numbers))[: data.draw(st.integers(1, 3))]
            preferences |= {f"shared.{need}": order, f"shared.{need}~": order}
            for i in numbers:
                preferences |= {f"shared.{need}~i{i}": [i], f"shared.{need}~i{i}!": [i]}
        before = {t: self.cell.status(t) for t in self.model.tenants}
        floor = float(self.cell.server("HGET", self.cell.key("meta"), "floor") or 0)
        call: dict[str, Any] = {"slots": slots, "preferences": preferences, "ageing_ms": AGEING_MS}
        reply = self.cell.claim(name, batch=batch, **call)
        self.last_claim[name] = (batch, call)
        times = {t: status.virtual_time for t, status in before.items()}
        averages = {t: status.average_ms or 100.0 for t, status in before.items()}
        self.model.check_claim(
            reply.tasks,
            slots=slots,
            preferences=preferences,
            virtual_times=times,
            averages=averages,
            dispatcher=name,
            now=self.cell.now,
            ageing_ms=AGEING_MS,
        )
        for held in reply.tasks:
            self.model.claimed(held, name)
        # Each tenant is charged what was estimated, by its weight; the floor never falls.
        for tenant, status in before.items():
            mine = [h for h in reply.tasks if h.record.tenant_id == tenant]
            cost = sum(h.estimate_ms for h in mine) / self.model.tenants[tenant].weight
            now = self.cell.status(tenant).virtual_time
            assert now == pytest.approx(status.virtual_time + cost, abs=0.01)
        after = float(self.cell.server("HGET", self.cell.key("meta"), "floor") or 0)
        assert after >= floor

    @precondition(lambda self: any(self.model.lanes.values()))
    @rule(data=st.data(), verb=st.sampled_from(VERBS))
    def claim_and_settle(self, data: st.DataObject, verb: Verb) -> None:
        """What happens all the time should happen often here."""
        self.claim(data, [3, 3], ["0", "gpu"])
        if any(map(self.model.held, self.names)):
            self.settle(data, 3, verb)

    @precondition(lambda self: any(self.model.lanes.values()))
    @rule(data=st.data())
    def an_instance_is_lost(self, data: st.DataObject) -> None:
        """What ran there is to run again, and its sessions go elsewhere."""
        self.claim_and_settle(data, Verb.RETRY)
        self.move_sessions(data)

    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        self.claim_again(data)
        self.settle_again(data)

    def claim_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        if name in self.last_claim:
            batch, call = self.last_claim[name]
            reply = self.cell.claim(name, batch=batch, **call)
            expected = {t.task_id for t in self.model.held(name) if t.batch == batch}
            assert {h.record.task_id for h in reply.tasks} == expected

    @precondition(lambda self: any(map(self.model.held, self.names)))
    @rule(data=st.data(), take=st.integers(1, 5), verb=st.sampled_from([None, *VERBS]))
    def settle(self, data: st.DataObject, take: int, verb: Verb | None) -> None:
        name = data.draw(st.sampled_from([n for n in self.names if self.model.held(n)]))
        chosen = data.draw(st.permutations(self.model.held(name)))[:take]
        sequence = self.next()
        ends = [(t, *self._end_of(t, data, verb)) for t in chosen]
        letters = self.cell.settle(name, *(s for _, s, _ in ends), sequence=sequence)
        assert letters == (True,) * len(ends)
        self.last_settle[name] = (sequence, [s for _, s, _ in ends], letters)
        handed_back = []
        for task, s, _ in ends:
            self.model.attempted(task, ran=s.verb is not Verb.BACK)
        for task, s, after_ms in ends:
            self.past_owners.append((task.task_id, name, task.epoch))
            if s.verb is Verb.TERMINAL:
                self.model.end(task, s.letter, s.data, self.cell.now, name)
            elif task.cancel_asked:
                self.model.end(task, "K", b"!K", self.cell.now, name)
            elif s.verb is Verb.RETRY:
                if self.model.again(task, self.cell.now, after_ms):
                    handed_back.append(task)
            elif s.verb is Verb.HOLD:
                self.model.hold(task, self.cell.now, after_ms)
            else:
                handed_back.append(task)
            task.cancel_asked = False
        self.model.back(handed_back)

    def _end_of(self, task: Task, data: st.DataObject, verb: Verb | None) -> tuple[Settlement, int]:
        verb = verb or data.draw(st.sampled_from(VERBS))
        after_ms = data.draw(st.sampled_from([0, 300, 4000])) if verb is Verb.RETRY else 4000
        settlement = Settlement(
            task.task_id,
            task.epoch,
            verb,
            task.estimate,
            0.0 if verb is Verb.BACK else data.draw(st.sampled_from([1.0, 100.0, 750.0])),
            after_ms=after_ms,
            letter=data.draw(st.sampled_from("SFXK")) if verb is Verb.TERMINAL else "-",
            bury=data.draw(st.booleans()),
            data=f"result of {task.task_id} {task.epoch}".encode(),
        )
        return settlement, after_ms

    def settle_again(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        if name in self.last_settle:
            sequence, settlements, letters = self.last_settle[name]
            assert self.cell.settle(name, *settlements, sequence=sequence) == letters

    @precondition(lambda self: self.past_owners)
    @rule(data=st.data(), verb=st.sampled_from(VERBS))
    def settle_too_late(self, data: st.DataObject, verb: Verb) -> None:
        # The hardest of all: it holds the same task again, under another epoch.
        again = [p for p in self.past_owners if self.model.tasks[p[0]].owner == p[1]]
        task_id, owner, epoch = data.draw(st.sampled_from(again or self.past_owners))
        late = Settlement(task_id, epoch, verb, 100.0, 1.0, letter="F", data=b"too late")
        assert self.cell.settle(owner, late, sequence=self.next()) == (False,)

    @rule(data=st.data())
    def mark_running(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        held = self.model.held(name)
        command = self.cell.queue.mark_running(
            dispatcher=name, tasks=[(t.task_id, t.epoch) for t in held]
        )
        assert self.cell.run(command) == sum(t.state == "C" for t in held)
        for task in held:
            task.state = "R"

    @rule(name=st.data())
    def publish(self, name: st.DataObject) -> None:
        who = name.draw(st.sampled_from(self.names))
        entries = self.cell.publish_all(who)
        expected = {**self.model.outboxes.pop(who, {}), **self.model.outboxes.pop("-", {})}
        assert entries.keys() == expected.keys()

    # ---------------------------------------------------------------------------- invariants

    @invariant()
    def server_and_model_agree(self) -> None:
        if self.leases:
            Audit(self.cell, self.model, [*self.names, *self.dead]).check()

    def teardown(self) -> None:
        assert leaks(self.client) == []


def test_the_queue_does_what_the_model_says(redis_url: str) -> None:
    client = connect_sync(redis_url)
    Queue.client = client
    profile = PROFILES[os.environ.get("GODEL_TEST_PROFILE", "short")]
    run_state_machine_as_test(Queue, settings=profile)
    client.close()
