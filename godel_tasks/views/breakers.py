"""What can be said of breakers: those of instances, of what stands behind them, and others'."""

from __future__ import annotations

from typing import cast

from godel_tasks.domain.breaker import INSTANCE_BREAKER, BreakerSnapshot
from godel_tasks.errors import UnknownBreaker
from godel_tasks.policy.blame import breakers_behind
from godel_tasks.runtime import Runtime
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.views.instances import all_instances


def all_breakers(runtime: Runtime) -> list[BreakerSnapshot]:
    """One for each registered instance, and every other one that is known; by name."""
    commands = BreakerCommands()
    leases = runtime.store.run(runtime.registry.fleet()).leases
    own = [INSTANCE_BREAKER + instance_id for instance_id in leases]
    names = sorted([*own, *_others(runtime, commands)])
    found = runtime.store.pipeline([commands.read(name) for name in names])
    return cast("list[BreakerSnapshot]", found)


def _others(runtime: Runtime, commands: BreakerCommands) -> list[str]:
    """Listed ones that are still there; what is gone is struck off."""
    names = runtime.store.run(commands.names())
    there = runtime.store.pipeline([commands.exists(name) for name in names])
    gone = [name for name, exists in zip(names, there, strict=True) if not exists]
    if gone:
        runtime.store.run(commands.strike(*gone))
    return [name for name in names if name not in gone]


def breaker_named(runtime: Runtime, name: str) -> BreakerSnapshot:
    """One breaker; an instance's goes by the instance's id, too.

    Raises:
        UnknownBreaker: nobody ever used one of that name, or not for a day.
    """
    return runtime.store.run(BreakerCommands().read(full_name(runtime, name)))


def full_name(runtime: Runtime, name: str) -> str:
    """As `breaker_named` finds it; those behind registered instances are known before anything was
    reported to them."""
    found = {snapshot.name for snapshot in all_breakers(runtime)}
    for view in all_instances(runtime):
        found.update(breakers_behind(view.config.capabilities))
    for full in (name, INSTANCE_BREAKER + name):
        if full in found:
            return full
    raise UnknownBreaker(
        f"no breaker {name!r} is known", hint="`godel breakers list` shows those that are"
    )
