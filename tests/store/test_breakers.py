"""breaker_report, breaker_acquire, breaker_force, breaker_read: one breaker, shared by all."""

from __future__ import annotations

import pytest

from godel_tasks.domain.breaker import BreakerConfig, BreakerSnapshot, BreakerState
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.store.breakers import BreakerCommands, BreakerReply
from godel_tasks.store.keys import breaker_key
from godel_tasks.store.registry import SlotsReply
from tests.cell import Cell

CONFIG = BreakerConfig(window_s=30, open_s=5, max_open_s=60, half_open_permits=2)
GW = "instance:gw-7"


class Fuse:
    """A breaker as verbs, in the cell's time."""

    def __init__(self, cell: Cell, name: str = GW) -> None:
        self.cell = cell
        self.name = name
        self.commands = BreakerCommands(lambda: cell.now)

    def tell(
        self, outcomes: str = "", *, who: str = "d1", live: int = 1, **options
    ) -> BreakerReply:
        options.setdefault("config", CONFIG)
        return self.cell.run(
            self.commands.report(self.name, reporter=who, outcomes=outcomes, live=live, **options)
        )

    def ask(self, *permits: str) -> int:
        return self.cell.run(self.commands.acquire(self.name, permits=permits)).granted

    def force(self, state: BreakerState | None) -> BreakerReply:
        return self.cell.run(self.commands.force(self.name, state=state, who="ann"))

    @property
    def now(self) -> BreakerSnapshot:
        return self.cell.run(self.commands.read(self.name))

    @property
    def state(self) -> BreakerState:
        return self.now.state


@pytest.fixture
def fuse(cell: Cell) -> Fuse:
    return Fuse(cell)


def test_it_opens_and_says_why_in_words(fuse: Fuse) -> None:
    # Given a breaker that nobody ever used
    assert str(fuse.now) == "<Breaker gw-7 closed>"
    # When two dispatchers of eight see it fail
    assert not fuse.tell("fff", who="d1", live=8).moved
    reply = fuse.tell("off", who="d2", live=8)
    # Then the second one hears that it opened, and everybody can read why
    assert (reply.moved, reply.before) == (True, BreakerState.CLOSED)
    assert str(fuse.now) == "<Breaker gw-7 open until 08:00:05 (5 failures in 30 s, 2 reporters)>"
    assert fuse.now.refusal.startswith("breaker open until 08:00:05")
    assert fuse.now.retry_after_s == 5.0


def test_one_with_a_broken_network_opens_nothing_alone(fuse: Fuse) -> None:
    # Given three dispatchers of which one fails all the time
    for _ in range(10):
        fuse.tell("ffff", who="d1", live=3)
    # Then it stays closed until another one sees it fail, too
    assert fuse.state is BreakerState.CLOSED
    assert fuse.tell("f", who="d2", live=3).snapshot.state is BreakerState.OPEN


def test_the_only_one_there_is_enough(fuse: Fuse) -> None:
    assert fuse.tell("fffff", live=1).moved


def test_where_nobody_says_how_many_there_are_those_count_that_were_heard(cell: Cell) -> None:
    # Given a breaker of which one process alone ever told anything
    alone = Fuse(cell, "alone")
    assert alone.tell("fffff", live=0).moved
    # And one where another one's calls go well
    other = Fuse(cell, "other")
    other.tell("ooo", who="d2", live=0)
    other.tell("ffffff", live=0)
    assert other.state is BreakerState.CLOSED
    # When that one was not heard of for as long as the window is
    cell.pass_time(31_000)
    assert other.tell("fffff", live=0).moved


def test_too_few_calls_say_nothing(fuse: Fuse) -> None:
    assert not fuse.tell("ffff").moved
    # And what is older than the window does not count
    fuse.cell.pass_time(30_000)
    assert not fuse.tell("ffff").moved
    assert fuse.now.calls == 4


def test_a_window_by_calls_forgets_the_oldest(fuse: Fuse) -> None:
    config = BreakerConfig(window_calls=6, failure_rate=0.6)
    fuse.tell("ffoooo", config=config)
    # However much time has gone by
    fuse.cell.pass_time(3_600_000)
    assert not fuse.tell("oo", config=config).moved
    assert (fuse.now.calls, fuse.now.failures) == (6, 0)
    assert fuse.tell("ffff", config=config).moved
    assert "(4 failures in 6 calls, 1 reporter)" in fuse.now.words


def test_slow_calls_open_it_too(fuse: Fuse) -> None:
    config = BreakerConfig(slow_call_rate=0.8)
    assert not fuse.tell("osos", config=config).moved
    assert fuse.tell("ssssssxx", config=config).moved
    assert "2 failures and 10 slow calls" in fuse.now.words


def _open(fuse: Fuse, times: int = 1) -> None:
    fuse.tell("fffff")
    for number in range(1, times):
        fuse.cell.pass_time(fuse.now.until_ms - fuse.cell.now)
        assert fuse.ask(f"p{number}") == 1
        fuse.tell(probes={f"p{number}": "f"})
    assert fuse.state is BreakerState.OPEN


def test_an_open_one_lets_nobody_through_until_its_time_is_up(fuse: Fuse) -> None:
    _open(fuse)
    assert fuse.ask("p1") == 0
    # When late calls end, it neither closes nor stays open for longer
    until = fuse.now.until_ms
    fuse.tell("ooooofffff")
    assert fuse.now.until_ms == until
    fuse.cell.pass_time(4999)
    assert fuse.ask("p1") == 0
    # Then, to the millisecond, it lets its probes through, and no more
    fuse.cell.pass_time(1)
    assert fuse.ask("p1", "p2", "p3") == 2
    assert fuse.ask("p4") == 0
    # And whoever asks again with the same name has the same permit
    assert fuse.ask("p1") == 1


def test_it_closes_when_enough_probes_went_well(fuse: Fuse) -> None:
    _open(fuse)
    fuse.cell.pass_time(5000)
    assert fuse.ask("p1", "p2") == 2
    # When a probe goes well, then what was begun before it opened fails
    assert not fuse.tell("fffff", probes={"p1": "o", "not-a-permit": "f"}).moved
    # And the same probe is told of again (a lost reply)
    assert not fuse.tell(probes={"p1": "o"}).moved
    assert fuse.now.successes == 1
    # Then the second one closes it, and nothing of before counts
    reply = fuse.tell(probes={"p2": "o"})
    assert (reply.moved, reply.snapshot.words) == (True, "closed")


@pytest.mark.parametrize("letter", ["f", "s", "x"])
def test_a_probe_that_fails_or_is_slow_opens_it_again(fuse: Fuse, letter: str) -> None:
    _open(fuse)
    fuse.cell.pass_time(5000)
    fuse.ask("p1", "p2")
    assert fuse.tell(probes={"p1": letter}).moved
    assert fuse.now.opens == 2
    # And the other probe comes too late
    assert not fuse.tell(probes={"p2": "o"}).moved


def test_a_permit_that_is_given_back_can_be_had_again(fuse: Fuse) -> None:
    _open(fuse)
    fuse.cell.pass_time(5000)
    assert fuse.ask("p1", "p2") == 2
    fuse.tell(probes={"p1": "-"})
    assert (fuse.ask("p3"), fuse.ask("p4")) == (1, 0)
    # And so can one whose holder is not heard of until its lease is over
    fuse.cell.pass_time(60_000)
    assert fuse.ask("p4", "p5") == 2
    assert fuse.tell(probes={"p2": "f"}).snapshot.state is BreakerState.HALF_OPEN


def test_each_time_in_a_row_it_is_open_for_longer(fuse: Fuse) -> None:
    lasted = []
    for times in range(1, 7):
        fuse.force(BreakerState.FORCED_OPEN)
        fuse.force(None)
        _open(fuse, times)
        lasted.append((fuse.now.until_ms - fuse.now.since_ms) // 1000)
    # Up to the cap
    assert lasted == [5, 10, 20, 40, 60, 60]
    # And a relapse counts as one in a row, until it was well for as long as the cap
    fuse.cell.pass_time(60_000)
    fuse.ask("p8", "p9")
    fuse.tell(probes={"p8": "o", "p9": "o"})
    fuse.cell.pass_time(59_999)
    assert fuse.tell("fffff").snapshot.opens == 7
    fuse.cell.pass_time(60_000)
    fuse.ask("p8", "p9")
    fuse.tell(probes={"p8": "o", "p9": "o"})
    fuse.cell.pass_time(60_000)
    assert fuse.tell("fffff").snapshot.opens == 1


def test_what_a_person_forced_stays_until_a_person_lifts_it(fuse: Fuse) -> None:
    # Given a breaker that is held open
    fuse.force(BreakerState.FORCED_OPEN)
    fuse.tell("oooooooo")
    assert fuse.ask("p1") == 0
    assert fuse.now.words == "forced-open by ann since 08:00:00"
    # Then it does not even go when nobody uses it
    assert fuse.cell.server("PTTL", breaker_key(GW)) == -1
    # And one that is held closed lets everybody through, whatever fails
    fuse.force(BreakerState.FORCED_CLOSED)
    assert not fuse.tell("ffffffffff").moved
    assert fuse.ask(*map(str, range(50))) == 50
    # When it is lifted, it judges anew, and goes a day after it was used last
    assert fuse.force(None).snapshot.words == "closed"
    assert 0 < fuse.cell.server("PTTL", breaker_key(GW)) <= 86_400_000
    assert fuse.tell("fffff").moved
    # And to lift what nobody forced changes nothing
    assert not fuse.force(None).moved


def _slots(cell: Cell, first: int, count: int, **options) -> SlotsReply:
    options.setdefault("generation", 1)
    return cell.run(
        cell.registry.slots(
            instance_id="gw-7", dispatcher="d1", first=first, count=count, **options
        )
    )


def test_reserve_asks_the_truth_of_the_instances_breaker(fuse: Fuse) -> None:
    # Given an instance with room, and a slot in use, whose breaker opens
    cell = fuse.cell
    config = InstanceConfig("gw-7", "h:1", capacity=10)
    cell.run(cell.registry.register(config))
    assert _slots(cell, 0, 1).breaker == "closed"
    _open(fuse)
    # Then nobody is given a slot
    reply = _slots(cell, 1, 4)
    assert (reply.granted, reply.used, reply.breaker) == (0, 1, "open")
    # Until its time is up: then as many as there are permits, over all who ask
    cell.pass_time(5000)
    reply = _slots(cell, 5, 4)
    assert (reply.granted, reply.breaker, reply.breaker_moved) == (2, "half-open", True)
    assert not _slots(cell, 9, 4).granted
    # And whoever repeats the call (a lost reply) has the same ones
    again = _slots(cell, 5, 4)
    assert (again.granted, again.breaker_moved) == (2, False)
    # A slot is a permit for as long as it is in use, whatever its lease says
    cell.pass_time(60_000)
    assert not _slots(cell, 13, 4).granted
    assert _slots(cell, 17, 4, free=["d1/5"]).granted == 1
    # When the probes went well, reserve gives all that there is room for
    fuse.tell(probes={"d1/6": "o", "d1/17": "o"})
    assert _slots(cell, 21, 20).granted == 7


def test_an_instance_that_starts_anew_is_probed_at_once(fuse: Fuse) -> None:
    # Given an instance whose breaker opened twice, with a probe under way
    cell = fuse.cell
    config = InstanceConfig("gw-7", "h:1", capacity=10)
    cell.run(cell.registry.register(config))
    _open(fuse, 2)
    # When its process starts anew
    assert cell.run(cell.registry.register(config)) == 2
    # Then it is half-open, and opens for even longer when its probes fail
    assert fuse.state is BreakerState.HALF_OPEN
    assert _slots(cell, 0, 4, generation=2).granted == 2
    fuse.tell(probes={"d1/0": "f"})
    assert (fuse.state, fuse.now.opens) == (BreakerState.OPEN, 3)
    # And one that a person holds open stays so
    fuse.force(BreakerState.FORCED_OPEN)
    cell.run(cell.registry.register(config))
    reply = _slots(cell, 4, 1, generation=3)
    assert (reply.granted, reply.breaker) == (0, "forced-open")


def test_a_forgotten_script_costs_nothing_but_a_round_trip(fuse: Fuse) -> None:
    fuse.tell("ffff")
    fuse.cell.server("SCRIPT", "FLUSH")
    assert fuse.tell("f").moved
    fuse.cell.server("SCRIPT", "FLUSH")
    assert fuse.now.failures == 5
