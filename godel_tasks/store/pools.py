"""Pools as they were declared, and the instances that were made for them: hashes of the registry.

Each field is JSON that its writers swap (compare and set), so that of two who decide about the same
thing at once one goes on and the other one sees that it came late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from godel_tasks.domain.pool import MadeInstance, PoolConfig
from godel_tasks.domain.rollout import Rollout
from godel_tasks.store.command import Command, call, plain, text
from godel_tasks.store.keys import (
    REGISTRY_MADE,
    REGISTRY_POOLS,
    REGISTRY_ROLLOUTS,
    REGISTRY_TENDING,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A value and the JSON that it was read from; "" where there was none."""

    value: T
    raw: str

    @classmethod
    def of(cls, value: T) -> Stored[T]:
        """As it stands in the hash once it was written."""
        return cls(value, _encode(value))


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _decode(raw: Any, kind: type[T]) -> Stored[T] | None:
    return Stored(msgspec.json.decode(raw, type=kind), text(raw)) if raw else None


def _all(reply: Mapping[Any, Any], kind: type[T]) -> dict[str, Stored[T]]:
    found = {text(name): _decode(raw, kind) for name, raw in sorted(reply.items())}
    return {name: stored for name, stored in found.items() if stored is not None}


def _swap(key: str, field: str, before: str, after: str) -> Command[bool]:
    return call(
        "swap_field",
        keys=[key],
        args=[field, before, after],
        decode=lambda reply: int(reply) == 1,
    )


class PoolCommands:
    """Declare pools and write down what is made for them."""

    def pools(self) -> Command[dict[str, Stored[PoolConfig]]]:
        """Every declared pool, by name."""
        return plain("HGETALL", REGISTRY_POOLS, decode=lambda reply: _all(reply, PoolConfig))

    def pool(self, name: str) -> Command[Stored[PoolConfig] | None]:
        return plain("HGET", REGISTRY_POOLS, name, decode=lambda raw: _decode(raw, PoolConfig))

    def put_pool(self, config: PoolConfig, *, before: str) -> Command[bool]:
        """Declare it, or change what `before` was read from; False when that has changed."""
        return _swap(REGISTRY_POOLS, config.name, before, _encode(config))

    def drop_pool(self, name: str, *, before: str) -> Command[bool]:
        return _swap(REGISTRY_POOLS, name, before, "")

    def all_made(self) -> Command[dict[str, Stored[MadeInstance]]]:
        """Every instance that was made, is being made or removed, by id."""
        return plain("HGETALL", REGISTRY_MADE, decode=lambda reply: _all(reply, MadeInstance))

    def made(self, instance_id: str) -> Command[Stored[MadeInstance] | None]:
        return plain(
            "HGET", REGISTRY_MADE, instance_id, decode=lambda raw: _decode(raw, MadeInstance)
        )

    def put_made(self, made: MadeInstance, *, before: str) -> Command[bool]:
        """Write it down, or change what `before` was read from; False when that has changed."""
        return _swap(REGISTRY_MADE, made.instance_id, before, _encode(made))

    def drop_made(self, instance_id: str, *, before: str) -> Command[bool]:
        return _swap(REGISTRY_MADE, instance_id, before, "")

    def rollout(self, pool: str) -> Command[Stored[Rollout] | None]:
        """The rolling restart that is under way, or was broken off."""
        return plain("HGET", REGISTRY_ROLLOUTS, pool, decode=lambda raw: _decode(raw, Rollout))

    def put_rollout(self, rollout: Rollout, *, before: str) -> Command[bool]:
        """Write down where it stands; False when somebody else has."""
        return _swap(REGISTRY_ROLLOUTS, rollout.pool, before, _encode(rollout))

    def drop_rollout(self, pool: str, *, before: str) -> Command[bool]:
        return _swap(REGISTRY_ROLLOUTS, pool, before, "")

    def hold_tending(self, *, holder: str, lease_ms: int) -> Command[bool]:
        """Be the one who looks after what was made; 0 gives it back. False when another one is."""
        return call(
            "hold",
            keys=[REGISTRY_TENDING],
            args=[holder, lease_ms],
            decode=lambda reply: int(reply) == 1,
        )
