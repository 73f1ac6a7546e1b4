"""CircuitBreaker for any code: in coroutines, in sync tasks, in many processes at once."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator

import pytest
import redis

import godel_tasks
from godel_tasks import BreakerConfig, CircuitBreaker, CircuitBreakerDelegate, CircuitOpenError
from godel_tasks.domain.breaker import BreakerSnapshot, BreakerState, ErrorKind
from godel_tasks.errors import InvalidBreaker
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from tests.helpers import wait_until
from tests.keyleaks import leaks

CONFIG = BreakerConfig(window_s=10, min_calls=4, open_s=0.2, half_open_permits=2)


class Heard(CircuitBreakerDelegate):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_open(self, snapshot: BreakerSnapshot) -> None:
        self.words.append("open")

    def on_half_open(self, snapshot: BreakerSnapshot) -> None:
        self.words.append("half-open")

    def on_close(self, snapshot: BreakerSnapshot) -> None:
        self.words.append("close")

    def on_success(self) -> None:
        self.words.append("success")

    def on_failure(self, error: BaseException) -> None:
        self.words.append(f"failure {error}")

    def on_refused(self, error: CircuitOpenError) -> None:
        self.words.append("refused")


@pytest.fixture
def runtime(redis_url: str) -> Iterator[Runtime]:
    runtime = Runtime(load_settings(redis_url=redis_url))
    yield runtime
    with redis.Redis.from_url(redis_url) as client:
        assert leaks(client, quiet=True) == []
    runtime.store.close()


def _breaker(runtime: Runtime, **options) -> CircuitBreaker:
    options.setdefault("config", CONFIG)
    return CircuitBreaker("payments", runtime=runtime, **options)


def _fail(text: str = "no") -> None:
    raise ConnectionError(text)


async def _fail_later() -> None:
    _fail()


def _open(breaker: CircuitBreaker) -> None:
    for _ in range(4):
        with pytest.raises(ConnectionError):
            breaker.call(_fail)


def test_it_opens_refuses_probes_and_closes(runtime: Runtime) -> None:
    # Given a breaker whose backend fails four times
    heard = Heard()
    breaker = _breaker(runtime, delegate=heard, fallback="try PayPal")
    _open(breaker)
    # Then the next call is not begun, and says what it was told to say and when to come again
    with pytest.raises(CircuitOpenError, match="try PayPal") as caught:
        breaker.call(_fail)
    error = caught.value
    assert 0 < error.retry_after_s <= 0.2
    assert error.retryable
    assert error.hint
    assert "open until" in error.reason
    # And it survives being stored as a Celery result
    assert pickle.loads(pickle.dumps(error)).retry_after_s == error.retry_after_s
    assert heard.words == [*["failure no"] * 4, "open", "refused"]
    # When its time is up, and its probes go well
    heard.words.clear()
    wait_until(lambda: _well(breaker), description="a probe is let through")
    assert breaker.call(str.upper, "ok") == "OK"
    # Then it is closed, and its delegate heard of each step
    assert breaker.snapshot().state is BreakerState.CLOSED
    heard.words = [word for word in heard.words if word != "refused"]
    assert heard.words == ["half-open", "success", "success", "close"]


def _ends_so(breaker: CircuitBreaker) -> bool:
    try:
        with breaker:
            raise ValueError
    except ValueError:
        return True
    except CircuitOpenError:
        return False


def _well(breaker: CircuitBreaker) -> bool:
    try:
        return breaker.call(bool, 1)
    except CircuitOpenError:
        return False


async def test_coroutines_share_it_with_sync_code(runtime: Runtime) -> None:
    # Given a breaker that coroutines use at once, in every way
    breaker = _breaker(runtime)
    answers = await asyncio.gather(*(breaker.execute(asyncio.sleep, 0.01, i) for i in range(5)))
    assert answers == [0, 1, 2, 3, 4]
    for _ in range(5):
        with pytest.raises(ConnectionError):
            await breaker.execute(_fail_later)
    # Then it is open for `async with` and `with` alike, and for another process at once
    with pytest.raises(CircuitOpenError):
        async with breaker:
            pytest.fail("it was let through")
    other = _breaker(runtime)
    with pytest.raises(CircuitOpenError), other:
        pytest.fail("it was let through")


def test_a_new_process_resets_nothing(runtime: Runtime) -> None:
    _open(_breaker(runtime))
    before = _breaker(runtime).snapshot()
    # When others come to know it
    for _ in range(3):
        with pytest.raises(CircuitOpenError):
            _breaker(runtime).call(_fail)
    after = _breaker(runtime).snapshot()
    assert (after.until_ms, after.opens) == (before.until_ms, 1)


def test_what_does_not_count_opens_nothing(runtime: Runtime) -> None:
    # Given a breaker that ignores what is the caller's own fault, and counts no stalls
    config = BreakerConfig(
        min_calls=4, open_s=0.2, kinds=frozenset({ErrorKind.CONNECTION, ErrorKind.ERROR})
    )
    breaker = _breaker(runtime, config=config, ignores=(ValueError,))
    for error in (ValueError(), TimeoutError(), KeyboardInterrupt()):
        for _ in range(3):
            with pytest.raises(type(error)), breaker:
                raise error
    assert breaker.snapshot().calls == 0
    # And a probe that ends so gives its permit back
    _open(breaker)
    wait_until(lambda: _ends_so(breaker), description="it is half-open", timeout=10)
    assert breaker.snapshot().permits_left == config.half_open_permits


def test_a_closed_one_costs_a_round_trip_a_second(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a breaker whose state is known
    breaker = _breaker(runtime)
    breaker.call(bool)
    asked: list[str] = []
    pipeline = runtime.store.pipeline

    def noting(commands):
        asked.extend(command.name for command in commands)
        return pipeline(commands)

    monkeypatch.setattr(runtime.store, "pipeline", noting)
    # When it is used a hundred times
    for _ in range(100):
        breaker.call(bool)
    # Then Redis heard nothing of it, until one failed
    assert asked == []
    with pytest.raises(ConnectionError):
        breaker.call(_fail)
    assert asked == ["breaker_report", "SADD"]
    assert breaker.snapshot().calls == 102


def test_without_redis_each_process_judges_for_itself() -> None:
    # Given a Redis that does not answer
    runtime = Runtime(load_settings(redis_url="redis://127.0.0.1:1/0"))
    breaker = _breaker(runtime)
    # Then a backend that fails is left alone all the same
    _open(breaker)
    with pytest.raises(CircuitOpenError):
        breaker.call(str.upper, "a")
    # Until its time is up, and probes go well
    wait_until(lambda: _well(breaker), description="a probe is let through")
    assert breaker.call(bool, 1)
    assert breaker.snapshot().state is BreakerState.CLOSED


@pytest.mark.parametrize("name", ["", "instance:gw-1", "provider:acme"])
def test_names_of_godels_own_breakers_are_refused(name: str) -> None:
    with pytest.raises(InvalidBreaker):
        CircuitBreaker(name)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_rate": 0.0},
        {"min_calls": 0},
        {"open_s": 10.0, "max_open_s": 5.0},
        {"half_open_permits": 1, "success_threshold": 2},
        {"window_calls": 3, "min_calls": 4},
        {"max_open_s": 90_000.0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidBreaker, match=next(iter(wrong)).split("_")[0]):
        BreakerConfig(**wrong)  # type: ignore[arg-type]


def test_it_is_public() -> None:
    assert {"CircuitBreaker", "CircuitBreakerDelegate", "CircuitOpenError", "BreakerConfig"} <= set(
        godel_tasks.__all__
    )
