"""Signals: what a dispatcher sees of attempts, counted by registration and written now and then."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.signals import Signals
from godel_tasks.domain.attempt import Completion, End
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import StoreUnavailable
from godel_tasks.instances.attempts import Refusal
from godel_tasks.store.health import HealthCommands


def flight(*, generation: int = 1, may_have_run: bool = True) -> Any:
    held = SimpleNamespace(instance_id="gw-1", generation=generation)
    return SimpleNamespace(held=held, may_have_run=may_have_run)


def end(how: End, *, run_ms: float = 0.0, error_type: str = "") -> Completion:
    return Completion("t", 1, "gw-1", how, run_ms=run_ms, error_type=error_type)


async def seen(ports: Ports) -> dict[str, int]:
    return await ports.store.run(HealthCommands().signals(instance_id="gw-1"))


async def register(ports: Ports) -> None:
    await ports.store.run(ports.registry.register(InstanceConfig("gw-1", "h:1")))


async def test_what_all_dispatchers_saw_is_added_up(ports: Ports) -> None:
    await register(ports)
    one, other = Signals(ports), Signals(ports)
    for _ in range(3):
        one.ended(flight(), end(End.OK, run_ms=250.6))
    other.ended(flight(), end(End.LOST))
    other.ended(flight(), end(End.REJECTED, error_type=Refusal.FULL))
    # What says nothing about the instance does not count
    other.ended(flight(), end(End.REJECTED, error_type=Refusal.DRAINING))
    other.ended(flight(may_have_run=False), end(End.TIMED_OUT))
    await one.write()
    await other.write()
    assert await seen(ports) == {"generation": 1, "ok": 3, "run_ms": 750, "lost": 1, "refused": 1}
    # And nothing is counted twice
    await one.write()
    assert (await seen(ports))["ok"] == 3


async def test_what_was_seen_of_an_older_registration_does_not_count(ports: Ports) -> None:
    await register(ports)
    signals = Signals(ports)
    signals.ended(flight(), end(End.LOST))
    await register(ports)
    signals.ended(flight(generation=2), end(End.OK))
    await signals.write()
    assert await seen(ports) == {"generation": 2, "ok": 1}


async def test_what_cannot_be_written_is_kept_for_later(ports: Ports) -> None:
    await register(ports)

    class Away:
        async def pipeline(self, commands: object) -> list[Any]:
            raise StoreUnavailable("Redis is away")

    signals = Signals(replace(ports, store=Away()))  # type: ignore[arg-type]
    signals.ended(flight(), end(End.OK))
    await signals.write()
    signals.ended(flight(), end(End.OK))
    signals._ports = ports
    await signals.write()
    assert (await seen(ports))["ok"] == 2
