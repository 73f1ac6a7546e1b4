"""The breaker's scripts against its plain model: any calls in any order, on a real server."""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from godel_tasks.domain.breaker import BreakerConfig, BreakerState
from godel_tasks.policy import breaker as model
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.executor import SyncExecutor, connect_sync
from tests.cell import START_MS
from tests.keyleaks import leaks

NAME = "payments"
SETTINGS = settings(
    max_examples=100,
    stateful_step_count=50,
    phases=[Phase.generate],  # made small by hand: shrinking takes a minute
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

configs = st.builds(
    BreakerConfig,
    window_s=st.sampled_from([1.0, 2.5]),
    window_calls=st.sampled_from([0, 0, 7]),
    min_calls=st.sampled_from([1, 4]),
    failure_rate=st.sampled_from([0.3, 0.5, 1.0]),
    slow_call_rate=st.sampled_from([0.4, 1.0]),
    open_s=st.sampled_from([0.3, 1.0]),
    open_factor=st.sampled_from([1.0, 1.5, 2.0]),
    max_open_s=st.sampled_from([2.0, 60.0]),
    half_open_permits=st.sampled_from([2, 3]),
    permit_lease_s=st.sampled_from([0.2, 5.0]),
    success_threshold=st.sampled_from([1, 2]),
    quorum=st.sampled_from([1, 2, 3]),
)
reporters = st.sampled_from(["d1", "d2", "d3"])
letters = st.text(alphabet="ooosffx-", max_size=6)
permits = st.sampled_from([f"p{i}" for i in range(6)])


class Life(RuleBasedStateMachine):
    """One breaker, twice."""

    executor: SyncExecutor
    moves: ClassVar[set[tuple[BreakerState, BreakerState]]] = set()

    @initialize(config=configs)
    def begin(self, config: BreakerConfig) -> None:
        self.executor.run(_flush())
        self.config = config
        self.now = START_MS
        self.commands = BreakerCommands(lambda: self.now)
        self.model = model.Breaker()

    def check(self, snapshot: Any) -> None:
        assert snapshot == model.look(self.model, NAME, now_ms=self.now)

    @rule(
        reporter=reporters,
        outcomes=letters,
        probes=st.dictionaries(permits, st.sampled_from("ooosfx-"), max_size=3),
        live=st.sampled_from([0, 1, 2, 8]),
    )
    def report(self, reporter: str, outcomes: str, probes: dict[str, str], live: int) -> None:
        before = self.model
        told: dict[str, Any] = {
            "reporter": reporter,
            "outcomes": outcomes,
            "probes": probes,
            "live": live,
        }
        reply = self.executor.run(self.commands.report(NAME, config=self.config, **told))
        self.model = model.report(before, self.config, now_ms=self.now, **told)
        assert reply.before is before.state_at(self.now)
        self.moves.add((reply.before, reply.snapshot.state))
        self.check(reply.snapshot)
        # A report never lets anybody through sooner than was said.
        assert self.model.until_ms >= before.until_ms

    @rule(names=st.lists(permits, unique=True, max_size=4))
    def acquire(self, names: list[str]) -> None:
        before = self.model
        reply = self.executor.run(self.commands.acquire(NAME, permits=names))
        self.model, granted = model.acquire(before, names, now_ms=self.now)
        assert (reply.before, reply.granted) == (before.state, granted)
        self.moves.add((reply.before, reply.snapshot.state))
        self.check(reply.snapshot)
        if reply.snapshot.state is BreakerState.HALF_OPEN:
            assert len(self.model.held) + self.model.successes <= self.config.half_open_permits

    @rule(state=st.sampled_from([BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED, None, None]))
    def force(self, state: BreakerState | None) -> None:
        reply = self.executor.run(self.commands.force(NAME, state=state, who="ops"))
        self.model = model.force(self.model, state, now_ms=self.now, who="ops")
        self.check(reply.snapshot)

    @rule(ms=st.sampled_from([1, 40, 100, 300, 700, 1100, 5200]))
    def pass_time(self, ms: int) -> None:
        self.now += ms
        self.check(self.executor.run(self.commands.read(NAME)))


def _flush() -> Any:
    from godel_tasks.store.command import plain, same

    return plain("FLUSHDB", decode=same)


def test_the_scripts_do_what_the_model_says(redis_url: str) -> None:
    client = connect_sync(redis_url)
    Life.executor = SyncExecutor(client)
    run_state_machine_as_test(Life, settings=SETTINGS)
    assert leaks(client, quiet=True) == []
    # And it went every way there is
    closed, opened, half = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
    assert {(closed, opened), (opened, half), (half, opened), (half, closed)} <= Life.moves
    Life.executor.close()
