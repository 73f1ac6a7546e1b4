"""Health: what a look means, when health falls and rises, and that it never flaps fast."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.domain.instance import Health, HealthComponents, HealthStatus, Work, WorkProbe
from godel_tasks.policy.health import HealthDecision, HealthRules, Look, Memory, judge, suspect

RULES = HealthRules()
WELL = HealthStatus(Health.HEALTHY, 2.0)
GONE = HealthStatus(Health.UNHEALTHY, 2000.0, "connection refused")
SORE = HealthStatus(Health.DEGRADED, 2.0, "it is low on memory")


class Story:
    """Looks at one instance, one after another."""

    def __init__(self, rules: HealthRules = RULES) -> None:
        self.rules = rules
        self.memory = Memory()
        self.now_ms = 1_000_000

    def look(
        self, answer: HealthStatus | None = WELL, *, after_s: float = 1.0, **also
    ) -> HealthDecision:
        self.now_ms += int(after_s * 1000)
        seen = Look(also.pop("generation", 1), self.now_ms, answer, **also)
        decision: HealthDecision = judge(self.memory, seen, self.rules)
        # As it is stored
        text = msgspec.json.encode(decision.memory)
        self.memory = msgspec.json.decode(text, type=Memory)
        return decision

    def looks(self, answers: Iterable[HealthStatus]) -> HealthDecision:
        last = None
        for answer in answers:
            last = self.look(answer)
        assert last is not None
        return last


def test_it_falls_after_three_looks_and_rises_after_two() -> None:
    story = Story()
    assert story.look().health is Health.HEALTHY
    first = story.look(GONE)
    assert (first.health, first.reason) == (Health.HEALTHY, "connection refused (1 of 3 looks)")
    # Something is amiss, so it is looked at soon
    assert first.next_in_ms == RULES.soon_ms
    fallen = story.looks([GONE, GONE])
    assert (fallen.health, fallen.reason) == (Health.UNHEALTHY, "connection refused")
    rising = story.look()
    assert (rising.health, rising.reason) == (
        Health.UNHEALTHY, "it looks better (1 of 2 looks)",
    )  # fmt: skip
    risen = story.look()
    assert (risen.health, risen.reason, risen.next_in_ms) == (Health.HEALTHY, "", RULES.every_ms)


def test_a_look_in_between_starts_the_count_anew() -> None:
    story = Story()
    assert story.looks([GONE, GONE, WELL, GONE, GONE]).health is Health.HEALTHY
    assert story.look(GONE).health is Health.UNHEALTHY


def test_looks_that_ask_for_different_steps_are_followed_by_the_smallest() -> None:
    assert Story().looks([GONE, SORE, GONE]).health is Health.DEGRADED


@pytest.mark.parametrize(
    ("answer", "also", "health", "reason"),
    [
        (SORE, {}, Health.DEGRADED, "it is low on memory"),
        (SORE, {"draining": True}, Health.HEALTHY, ""),
        (
            HealthStatus(Health.HEALTHY, 2.0, None, HealthComponents(database=False)),
            {},
            Health.DEGRADED,
            "its database is not well",
        ),
        (HealthStatus(Health.HEALTHY, 3000.0), {}, Health.DEGRADED, "it answers slowly: 3000 ms"),
        (
            WELL,
            {"counts": {"ok": 60, "lost": 40}},
            Health.DEGRADED,
            "40% of its attempts were lost or ran out of time lately",
        ),
        (
            WELL,
            {"counts": {"ok": 10, "timed_out": 30}},
            Health.UNHEALTHY,
            "75% of its attempts were lost or ran out of time lately",
        ),
        (WELL, {"counts": {"failed": 30}}, Health.DEGRADED, "100% of its attempts failed lately"),
        # Too few to say anything
        (WELL, {"counts": {"ok": 1, "lost": 2}}, Health.HEALTHY, ""),
        (None, {}, Health.HEALTHY, ""),
    ],
)
def test_what_speaks_for_which_health(answer, also, health, reason) -> None:
    story = Story()
    decision = None
    for _ in range(RULES.bad_to_fall):
        decision = story.look(answer, after_s=0.1, **also)
    assert decision is not None
    assert (decision.health, decision.reason) == (health, reason)


def test_where_attempts_end_well_a_failed_probe_is_no_end() -> None:
    # Given an instance that works for dispatchers, and that a control worker cannot reach
    story = Story()
    decision = story.look(GONE, counts={"ok": 1})
    for ok in range(2, 6):
        decision = story.look(GONE, counts={"ok": ok})
    assert decision.health is Health.DEGRADED
    assert decision.reason == ("a probe failed, though attempts end well there: connection refused")
    # And when nothing ends there any more, it is unhealthy
    for _ in range(RULES.bad_to_fall):
        decision = story.look(GONE, counts={"ok": 5}, after_s=10)
    assert decision.health is Health.UNHEALTHY


def test_what_nothing_can_be_said_of_is_not_taken_to_be_well() -> None:
    story = Story()
    story.looks([GONE, GONE, GONE])
    unsure = [story.look(None, unsure=True) for _ in range(5)][-1]
    assert (unsure.health, unsure.reason) == (Health.UNHEALTHY, "connection refused")
    # And what was well stays so
    well = Story()
    assert well.look(None, unsure=True).health is Health.HEALTHY


def test_what_is_long_past_speaks_no_more() -> None:
    story = Story()
    counts = {"ok": 10, "lost": 30}
    for _ in range(3):
        story.look(counts=counts)
    assert Health(story.memory.health) is Health.UNHEALTHY
    # Five minutes later, nothing more having been lost
    assert story.look(counts=counts, after_s=300).health is Health.UNHEALTHY
    assert story.look(counts=counts).health is Health.HEALTHY


def test_a_long_turn_makes_suspect_and_nothing_else() -> None:
    story = Story()
    for _ in range(100):
        look = Look(1, story.now_ms + 1000, WELL, slots_used=4)
        work = WorkProbe(Work.BUSY) if suspect(story.memory, look, RULES) else None
        decision = story.look(slots_used=4, work=work)
        assert decision.health is Health.HEALTHY
    assert suspect(story.memory, Look(1, story.now_ms + 1, WELL, slots_used=4), RULES)


def test_a_zombie_is_found_in_less_than_thirty_seconds() -> None:
    # Given an instance that works, looked at as often as the judge says
    story = Story()
    story.look(slots_used=2, counts={"ok": 5})
    began, pause_s = story.now_ms, RULES.every_ms / 1000
    # When it answers, and ends nothing any more
    while True:
        at_ms = story.now_ms + int(pause_s * 1000)
        seen = Look(1, at_ms, WELL, slots_used=2, counts={"ok": 5})
        failed = WorkProbe(Work.FAILED, "a no-op did not run within 2 s")
        work = failed if suspect(story.memory, seen, RULES) else None
        decision = story.look(after_s=pause_s, slots_used=2, counts={"ok": 5}, work=work)
        pause_s = decision.next_in_ms / 1000 + (2.0 if work else 0.0)
        if decision.zombie:
            break
    # Then it is called what it is
    assert story.now_ms - began < 30_000
    assert decision.health is Health.UNHEALTHY
    assert decision.reason.startswith("zombie: it answers, and does no work: a no-op did not run")
    assert not decision.lost
    # And in the end its tasks are to run elsewhere
    for _ in range(RULES.stuck_to_lose - RULES.stuck_to_fall):
        decision = story.look(slots_used=2, counts={"ok": 5}, work=failed)
    assert decision.lost


def test_one_that_only_refuses_is_suspect() -> None:
    # Given an instance that holds nothing, by what dispatchers know, and refuses everything
    story = Story()
    for refused in range(10):
        story.look(counts={"refused": 5 * refused})
    assert suspect(story.memory, Look(1, story.now_ms + 1, WELL, counts={"refused": 60}), RULES)
    # And an idle one is not
    idle = Story()
    for _ in range(10):
        idle.look()
    assert not suspect(idle.memory, Look(1, idle.now_ms + 5000, WELL), RULES)


def test_a_zombie_that_registers_anew_is_one_until_it_works() -> None:
    story = Story()
    failed = WorkProbe(Work.FAILED, "stuck")
    for _ in range(2):
        story.look(slots_used=1, work=failed)
    again = story.look(generation=2, work=failed)
    assert (again.health, again.zombie) == (Health.UNHEALTHY, True)
    assert not again.lost
    # And when it works, it comes back
    story.look(generation=2, work=WorkProbe(Work.DONE))
    assert story.look(generation=2).health is Health.HEALTHY


def test_what_started_anew_begins_healthy_and_its_drain_is_told_once() -> None:
    story = Story()
    story.looks([GONE, GONE, GONE])
    assert story.look(generation=2).health is Health.HEALTHY
    told = [story.look(generation=2, draining=True, slots_used=n).drained for n in (2, 0, 0)]
    assert told == [False, True, False]
    story.look(generation=2)
    assert story.look(generation=2, draining=True).drained


def test_the_quickest_flapper_is_held_down() -> None:
    # Given an instance that is ill just until it has fallen, and well just until it has risen
    story = Story()
    health, falls, reasons = Health.HEALTHY, 0, set()
    for _ in range(600):
        decision = story.look(GONE if health is Health.HEALTHY else WELL)
        falls += decision.health is Health.UNHEALTHY and health is Health.HEALTHY
        health = decision.health
        reasons.add(decision.reason[:13])
    # Then in ten minutes it falls at most twice for each time that it is held down, where it would
    # have fallen 120 times
    assert 3 <= falls <= 3 + 2 * 600 / (RULES.damping.shortest_hold_ms / 1000)
    assert "held down for" in reasons


STEPS = st.lists(
    st.tuples(st.sampled_from([WELL, SORE, GONE]), st.floats(0.1, 20)), min_size=1, max_size=150
)


@given(STEPS)
def test_it_never_moves_faster_than_hysteresis_and_damping_allow(steps) -> None:
    story = Story()
    order = [Health.HEALTHY, Health.DEGRADED, Health.UNHEALTHY]
    before, since, suppressed_ms = Health.HEALTHY, 0, None
    for answer, after_s in steps:
        decision = story.look(answer, after_s=after_s)
        since += 1
        step = order.index(decision.health) - order.index(before)
        if step > 0:
            assert since >= RULES.bad_to_fall
        if step < 0:
            assert since >= RULES.good_to_rise
            # Once held down, for as long as the penalty takes to fade at least
            if suppressed_ms is not None:
                assert story.now_ms - suppressed_ms >= RULES.damping.shortest_hold_ms
        if step:
            since = 0
        if not decision.memory.penalty.suppressed:
            suppressed_ms = None
        elif suppressed_ms is None:
            suppressed_ms = story.now_ms
        # Whatever it is, there is a reason for it
        assert decision.reason or decision.health is Health.HEALTHY
        before = decision.health
