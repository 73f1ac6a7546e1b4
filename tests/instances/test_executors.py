"""Sync handlers: on threads, which cannot be interrupted, or inline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from godel_tasks.clock import SystemClock
from godel_tasks.domain.attempt import Completion, End
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.instances.handlers import Handler, TaskContext
from godel_tasks.instances.server.executors import executor_for
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.outcome import MESSAGE_LIMIT, TRACEBACK_LIMIT, raised
from tests.helpers import wait_until_async
from tests.instances.sites import delivery


class Mailbox:
    """A peer that keeps what it is sent."""

    def __init__(self) -> None:
        self.completions: list[Completion] = []

    def send(self, completion: Completion) -> None:
        self.completions.append(completion)

    async def first(self) -> Completion:
        await wait_until_async(lambda: self.completions, description="a completion")
        return self.completions[0]


def host_of(
    function: Callable[..., Any], *, capacity: int = 2, inline: bool = False
) -> InstanceHost:
    clock = SystemClock()
    executor = executor_for(Handler.of(function), clock, inline=inline, threads=capacity)
    config = InstanceConfig("a-1", "", capacity=capacity)
    return InstanceHost(config, executor, clock, generation=7)


async def test_sync_handlers_run_side_by_side_up_to_the_capacity() -> None:
    # Given a handler that only returns when two of it run at once
    together = threading.Barrier(2, timeout=5)

    def meet(payload: Any) -> str:
        together.wait()
        return threading.current_thread().name

    host, peer = host_of(meet), Mailbox()
    # When two are delivered
    host.deliver(delivery("t"), peer)
    host.deliver(delivery("u"), peer)
    # Then both end well, each on a thread of its own
    await wait_until_async(lambda: len(peer.completions) == 2, description="both ended")
    assert {c.end for c in peer.completions} == {End.OK}
    assert len({c.result for c in peer.completions}) == 2


async def test_a_thread_that_runs_out_of_time_is_reported_and_keeps_its_slot() -> None:
    # Given an instance of one slot, and a handler that nobody can interrupt
    go_on = threading.Event()

    def stubborn(payload: Any) -> str:
        go_on.wait(5)
        return "too late"

    host, peer = host_of(stubborn, capacity=1), Mailbox()
    host.deliver(delivery("t", timeout_ms=20), peer)
    # When its time is over, the end is told at once
    assert (await peer.first()).end is End.TIMED_OUT
    # But the slot is in use
    host.deliver(delivery("u"), peer)
    assert peer.completions[1].error_type == "Full"
    # Until the function returns; nobody is told twice
    go_on.set()
    await wait_until_async(lambda: not host.table.running, description="the slot is free")
    assert len(peer.completions) == 2
    host.deliver(delivery("t"), peer)
    assert peer.completions[2] == peer.completions[0]
    assert (host.completed, host.failed) == (0, 1)


async def test_a_cancelled_thread_is_confirmed_when_it_has_stopped() -> None:
    # Given a handler that looks at its context
    seen = threading.Event()

    def polite(payload: Any, context: TaskContext) -> str:
        seen.set()
        until = time.monotonic() + 5
        while not context.cancelled and time.monotonic() < until:
            time.sleep(0.001)
        return "half done"

    host, peer = host_of(polite), Mailbox()
    host.deliver(delivery("t"), peer)
    await wait_until_async(seen.is_set, description="running")
    # When it is cancelled, twice
    host.cancel("t:1", peer)
    host.cancel("t:1", peer)
    # Then its end is CANCELLED, whatever it returned
    assert (await peer.first()).end is End.CANCELLED
    assert len(peer.completions) == 1
    assert not host.table.running


async def test_an_inline_handler_is_over_when_deliver_returns() -> None:
    host, peer = host_of(lambda payload: payload * 2, capacity=1, inline=True), Mailbox()
    for number in range(5):
        host.deliver(delivery(f"t{number}", b"21", timeout_ms=1), peer)
    assert [c.result for c in peer.completions] == [b"42"] * 5


async def test_an_async_handler_that_will_not_stop_is_given_up() -> None:
    # Given an async handler that ignores being cancelled
    go_on = asyncio.Event()

    async def stubborn(payload: Any) -> None:
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue

    host, peer = host_of(stubborn, capacity=1), Mailbox()
    host.deliver(delivery("t", timeout_ms=20), peer)
    # Then its end is told a little after its time, and its slot stays in use
    assert (await peer.first()).end is End.TIMED_OUT
    assert len(host.table.running) == 1
    go_on.set()
    await wait_until_async(lambda: not host.table.running, description="stopped")


async def test_a_closed_host_tells_that_what_ran_is_lost() -> None:
    stopped: list[str] = []

    async def wait(payload: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("stopped")

    host, peer = host_of(wait), Mailbox()
    host.deliver(delivery("t"), peer)
    await asyncio.sleep(0)
    host.close()
    host.close()
    assert [c.end for c in peer.completions] == [End.LOST]
    await wait_until_async(lambda: stopped, description="the handler was stopped")


def test_errors_travel_cut_to_size() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def deep(n: int) -> None:
        if n:
            return deep_too(n - 1)
        raise ValueError("é" * 100_000)

    def deep_too(n: int) -> None:
        deep(n)

    def error_of(function: Callable[[], None]) -> BaseException:
        try:
            function()
        except Exception as error:
            return error
        raise AssertionError("it raises")

    long = raised(delivery("t"), error_of(lambda: deep(200)), 1.0)
    assert len(long.error_message.encode()) <= MESSAGE_LIMIT
    assert len(long.traceback.encode()) <= TRACEBACK_LIMIT
    assert long.traceback.startswith("Traceback")
    assert raised(delivery("t"), Unspeakable(), 1.0).error_message.startswith("<its text cannot")
