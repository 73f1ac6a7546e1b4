"""Mass loss: whose verdict is held, from the ends of leases alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.policy.massloss import MassLossRules, judge_losses

NOW = 1_000_000
RULES = MassLossRules()


def fleet(*, over: dict[str, int], alive: int) -> dict[str, int]:
    """`over`: by how many ms each lease is over."""
    ends = {name: NOW - ago for name, ago in over.items()}
    return ends | {f"alive-{i}": NOW + 2500 for i in range(alive)}


def test_a_few_that_vanish_are_lost() -> None:
    # Given ten instances, of which five (no more than half) fall silent together
    over = {f"gw-{i}": 10 * i for i in range(5)}
    decision = judge_losses(fleet(over=over, alive=5), NOW, RULES)
    # Then they are believed to be gone
    assert decision.lost == set(over)
    assert not decision.held
    assert not decision.reason


def test_most_of_the_fleet_at_once_is_held_and_then_believed() -> None:
    over = {f"gw-{i}": 100 * i for i in range(6)}
    leases = fleet(over=over, alive=4)
    decision = judge_losses(leases, NOW, RULES)
    assert decision.held == set(over)
    assert not decision.lost
    assert "6 of 10 instances fell silent" in decision.reason
    # And when the grace is over, they are lost
    later = NOW + RULES.grace_ms
    alive = {name: later + 2500 for name in leases if name.startswith("alive")}
    assert judge_losses({**leases, **alive}, later, RULES).lost == set(over)


def test_two_instances_of_three_are_no_mass() -> None:
    assert judge_losses(fleet(over={"a": 0, "b": 10}, alive=1), NOW, RULES).lost == {"a", "b"}


def test_those_that_miss_heartbeats_already_count_before_their_leases_are_over() -> None:
    # Given three silent ones, and five whose leases end within the margin: all were cut off at once
    leases = fleet(over={"a": 300, "b": 200, "c": 100}, alive=2)
    leases |= {f"late-{i}": NOW + 900 for i in range(5)}
    assert judge_losses(leases, NOW, RULES).held == {"a", "b", "c"}


def test_losses_one_after_another_are_believed() -> None:
    # Given a loss every 10 s, until nobody is left
    over = {f"gw-{i}": 10_000 * i for i in range(8)}
    assert judge_losses(fleet(over=over, alive=0), NOW, RULES).lost == set(over)


def test_the_guard_can_be_turned_off() -> None:
    over = {f"gw-{i}": 0 for i in range(9)}
    rules = MassLossRules(share=1.0)
    assert judge_losses(fleet(over=over, alive=0), NOW, rules).lost == set(over)


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4),
        st.integers(NOW - 30_000, NOW + 15_000),
        max_size=40,
    )
)
def test_whoever_is_silent_is_lost_or_held_and_nobody_for_longer_than_the_grace(
    leases: dict[str, int],
) -> None:
    decision = judge_losses(leases, NOW, RULES)
    silent = {name for name, end in leases.items() if end <= NOW}
    assert decision.lost | decision.held == silent
    assert not decision.lost & decision.held
    assert all(leases[name] > NOW - RULES.grace_ms for name in decision.held)
    assert bool(decision.reason) == bool(decision.held)
    # And fewer than `least` are never held
    assert len(leases) >= RULES.least or not decision.held
