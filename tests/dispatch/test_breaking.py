"""What a dispatcher tells breakers, and what breakers keep it from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from godel_tasks.dispatch.config import Ports
from godel_tasks.domain.attempt import Completion, Delivery, End, Fault, Usage
from godel_tasks.domain.breaker import BreakerConfig, BreakerSnapshot, BreakerState
from godel_tasks.domain.requirement import Requirement, RequirementClass
from godel_tasks.events import BreakerMoved, Event
from godel_tasks.store.breakers import BreakerCommands
from tests.dispatch.played import House, ends
from tests.helpers import wait_until_async

CONFIG = BreakerConfig(window_s=20, open_s=1.0, half_open_permits=2, success_threshold=2)


@pytest.fixture
async def house(ports: Ports) -> AsyncIterator[House]:
    house = House(ports, breaker=CONFIG)
    house.told = []  # type: ignore[attr-defined]
    ports.bus.subscribe(house.told.append, BreakerMoved)  # type: ignore[attr-defined]
    yield house
    await house.close()


def _moves(house: House) -> list[tuple[str, str]]:
    told: list[Event] = house.told  # type: ignore[attr-defined]
    return [(e.name, e.state) for e in told if isinstance(e, BreakerMoved)]


async def _breaker(house: House, name: str) -> BreakerSnapshot:
    return await house.ports.store.run(BreakerCommands().read(name))


async def _wait_for(house: House, name: str, state: BreakerState) -> None:
    async def there() -> bool:
        return (await _breaker(house, name)).state is state

    await wait_until_async(there, description=f"{name} is {state}", timeout=10)


async def _done(house: House) -> None:
    async def done() -> bool:
        return await house.unsettled() == 0

    await wait_until_async(done, description="all tasks are settled", timeout=20)


def _is_sick(delivery: Delivery) -> Completion:
    return ends(delivery, End.FAILED, error_type="SessionBusy", fault=Fault.INSTANCE)


def _provider_fails(delivery: Delivery) -> Completion:
    return ends(
        delivery, End.FAILED, error_type="ModelUnavailable", fault=Fault.PROVIDER, retryable=False
    )


async def test_a_sick_instance_gets_no_more_until_probes_go_well(
    house: House,
) -> None:
    # Given an instance that fails at whatever it is given, and one that is well
    await house.instance("sick", _is_sick)
    await house.instance("well")
    dispatcher = house.dispatcher()
    # When tasks come
    await house.submit(40)
    await _wait_for(house, "instance:sick", BreakerState.OPEN)
    await _done(house)
    # Then the others run elsewhere, and routing can say why
    member = dispatcher.fleet.members["sick"]
    await wait_until_async(
        lambda: dispatcher.fleet.breaker_refusal(member), description="the view knows", timeout=2
    )
    assert "breaker open until" in dispatcher.fleet.breaker_refusal(member)
    assert "failures in 20 s, 1 reporter" in dispatcher.fleet.breaker_refusal(member)
    wanted = RequirementClass("shared.0", "shared", Requirement())
    filtered, _ = dispatcher.fleet.filtered(wanted, dispatcher.fleet.candidates({}), 5)
    assert "breaker open" in {f.instance_id: f.reason for f in filtered}["sick"]
    house.driver.delivered.clear()
    await house.submit(10)
    await _done(house)
    assert set(house.driver.delivered) == {"well"}

    # When it is still sick once its time is up, one round of probes is all that it costs
    async def again() -> bool:
        await house.submit(1)
        return (await _breaker(house, "instance:sick")).opens == 2

    await wait_until_async(again, description="it opens again", timeout=10, every=0.05)
    await _done(house)
    assert house.driver.delivered.count("sick") <= CONFIG.half_open_permits
    # And when it is well, it closes by its probes alone
    house.driver.plans["sick"] = ends

    async def closed() -> bool:
        await house.submit(1)
        return (await _breaker(house, "instance:sick")).state is BreakerState.CLOSED

    await wait_until_async(closed, description="it closes", timeout=10, every=0.05)
    assert _moves(house) == [
        ("instance:sick", state) for state in ("open", "half-open", "open", "half-open", "closed")
    ]


async def test_what_is_sent_nowhere_goes_back_when_its_instance_cannot_be_reached(
    house: House,
) -> None:
    # Given an instance with a heartbeat to which there is no way, and one that is well
    await house.instance("cut")
    house.driver.cut_off.add("played://cut")
    await house.instance("well", capacity=1)
    house.dispatcher()
    # When tasks were claimed for both
    await house.submit(8)
    # Then its breaker opens, and all of them run elsewhere
    await _wait_for(house, "instance:cut", BreakerState.OPEN)
    await _done(house)
    assert set(house.driver.delivered) == {"well"}
    # And when there is a way again, it comes back
    for connection in house.driver.connections:
        connection.heal()

    async def back() -> bool:
        await house.submit(1)
        return "cut" in house.driver.delivered

    await wait_until_async(back, description="it is used again", timeout=10, every=0.05)


async def test_one_dispatcher_of_several_opens_nothing_alone(house: House) -> None:
    # Given two dispatchers, one of which nobody gives work
    await house.instance("sick", _is_sick, capacity=1)
    house.dispatcher("idle").pause()
    house.dispatcher("busy")
    await house.submit(10)

    # When the other one has seen many failures
    async def failed() -> bool:
        return (await _breaker(house, "instance:sick")).failures >= 8

    await wait_until_async(failed, description="failures are told", timeout=20)
    # Then the breaker is closed all the same
    assert (await _breaker(house, "instance:sick")).words.startswith("closed (")


async def test_an_outage_of_a_provider_opens_its_breaker_and_no_instances(house: House) -> None:
    # Given two instances before a provider that fails, and one before another
    for name in ("a1", "a2"):
        await house.instance(name, _provider_fails, provider="acme", model="large")
    await house.instance("b1", lambda d: ends(d, usage=Usage(provider="bolt", model="mini")),
                         provider="bolt", model="mini")  # fmt: skip
    dispatcher = house.dispatcher()
    await house.submit(60)
    # Then the breakers of the provider and of its model open
    await _wait_for(house, "provider:acme", BreakerState.OPEN)
    await _wait_for(house, "provider:acme/large", BreakerState.OPEN)
    await _done(house)
    for name in ("instance:a1", "instance:a2", "instance:b1", "provider:bolt"):
        assert (await _breaker(house, name)).state is BreakerState.CLOSED
    # And its instances get nothing, while the other one does
    await wait_until_async(
        lambda: dispatcher.fleet.breaker_refusal(dispatcher.fleet.members["a2"]),
        description="the view knows",
        timeout=2,
    )
    refusal = dispatcher.fleet.breaker_refusal(dispatcher.fleet.members["a2"])
    assert refusal.startswith("provider:acme: breaker open until")
    house.driver.delivered.clear()
    await house.submit(5)
    await _done(house)
    assert set(house.driver.delivered) == {"b1"}
    # When it is well again, probes over all of its instances close it
    for name in ("a1", "a2"):
        house.driver.plans[name] = lambda d: ends(d, usage=Usage(provider="acme", model="large"))

    async def closed() -> bool:
        await house.submit(2)
        return (await _breaker(house, "provider:acme")).state is BreakerState.CLOSED

    await wait_until_async(closed, description="it closes", timeout=10, every=0.05)
    await _done(house)
    assert not [name for name, _ in _moves(house) if name.startswith("instance:")]


async def test_probes_of_a_provider_are_counted_over_its_instances(house: House) -> None:
    # Given a provider's breaker that is half-open, and three instances that never answer
    for name in ("a1", "a2", "a3"):
        await house.instance(name, lambda _d: None, provider="acme")
    report = BreakerCommands().report(
        "provider:acme", config=CONFIG, reporter="x", outcomes="fffff", live=1
    )
    await house.ports.store.run(report)
    house.dispatcher("d1")
    house.dispatcher("d2")
    # When much more waits than there are permits
    await house.submit(12)
    await wait_until_async(
        lambda: len(house.driver.delivered) >= 2, description="probes are made", timeout=10
    )
    snapshot = await _breaker(house, "provider:acme")
    # Then exactly the permits are under way, over all instances and dispatchers
    assert (snapshot.state, snapshot.permits_left) == (BreakerState.HALF_OPEN, 0)
    await house.submit(3)
    assert len(house.driver.delivered) == CONFIG.half_open_permits


async def test_breakers_that_are_switched_off_count_nothing(ports: Ports) -> None:
    house = House(ports, breaker=CONFIG, instance_breakers=False, provider_breakers=False)
    await house.instance("sick", _provider_fails, provider="acme")
    house.dispatcher()
    await house.submit(20)
    await _done(house)
    for name in ("instance:sick", "provider:acme"):
        assert (await _breaker(house, name)).words == "closed"
    await house.close()
