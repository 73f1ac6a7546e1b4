"""A strategy of somebody else's package."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from godel_tasks.policy import strategies
from godel_tasks.policy.balancer import Demand, LoadBalancer
from godel_tasks.policy.strategy import Candidate, RoutingRequest, Score
from tests.policy.routing import candidate, fleet, wanted


class Cheapest:
    """As the how-to page shows it."""

    name = "cheapest"

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:
        return 0, float(candidate.capabilities.get("cost_per_hour", 1))

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:
        return f"costs {candidate.capabilities.get('cost_per_hour', '?')} an hour"

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        """Nothing to remember."""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that names it."""
    point = EntryPoint("cheapest", f"{__name__}:Cheapest", strategies.ENTRY_POINTS)
    # One of the same name as ours: it must not win.
    other = EntryPoint("least-loaded", f"{__name__}:Cheapest", strategies.ENTRY_POINTS)
    monkeypatch.setattr(strategies, "entry_points", lambda group: EntryPoints((point, other)))
    _forget()
    yield
    _forget()


def _forget() -> None:
    strategies._makers.cache_clear()
    strategies.check_strategy.cache_clear()


def test_a_package_adds_a_strategy_by_name(installed: None) -> None:
    # Given that it is installed, tasks may ask for it, alone and as a step
    assert strategies.check_strategy("cheapest") is None
    assert strategies.check_strategy("fallback=cheapest@eu,least-loaded") is None
    # When a class is routed by it
    balancer = LoadBalancer(random.Random(1))
    instances = fleet(
        candidate("dear", capabilities={"cost_per_hour": "4"}),
        candidate("cheap", 1, capabilities={"cost_per_hour": "0.5"}),
    )
    asked = wanted(strategy="cheapest")
    told = balancer.route(asked, list(instances.values())).reason
    plan = balancer.plan([Demand(asked, 3, tuple(instances))], instances, 3)
    # Then it decides, within the filters and the free slots
    assert plan.slots == {"cheap": 1, "dear": 2}
    assert told == "cheapest: cheap (costs 0.5 an hour)"


def test_a_package_cannot_change_what_our_names_mean(installed: None) -> None:
    assert type(strategies.make_strategies()["least-loaded"]).__name__ == "LeastLoaded"
