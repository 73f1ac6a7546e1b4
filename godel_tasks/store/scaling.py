"""ScalingCommands: policies, what decisions remember, their history, and who may decide.

Policies and states are JSON of the values in `domain/scaling.py`; scripts do not look inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from godel_tasks.domain.scaling import PoolState, ScalingAct, ScalingDecision, ScalingPolicy
from godel_tasks.store.command import Command, call, plain, text
from godel_tasks.store.keys import (
    REGISTRY_SCALING,
    REGISTRY_SCALING_LEADER,
    REGISTRY_SCALING_STATE,
    scaling_history,
)

T = TypeVar("T")

#: Entries of a pool's history that are kept, about, and for how long after the last one.
HISTORY_LENGTH = 5000
HISTORY_KEPT_MS = 30 * 86_400_000


class ScalingEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a pool's history: a decision or an act, under the leader with that token."""

    token: int
    decision: ScalingDecision | None = None
    act: ScalingAct | None = None

    @property
    def at_ms(self) -> int:
        if self.decision is not None:
            return self.decision.inputs.at_ms
        return self.act.at_ms if self.act is not None else 0


@dataclass(frozen=True, slots=True)
class Leadership:
    """`token` is 0 when another one leads."""

    token: int
    now_ms: int


def encode_entry(entry: ScalingEntry) -> bytes:
    return msgspec.json.encode(entry)


_entry = msgspec.json.Decoder(ScalingEntry)


def _values(reply: Mapping[Any, Any], kind: type[T]) -> dict[str, T]:
    return {text(name): msgspec.json.decode(raw, type=kind) for name, raw in sorted(reply.items())}


class ScalingCommands:
    """Commands about scaling. `now_ms` as for `CellCommands`."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.now_ms = now_ms

    def put_policies(self, policies: Sequence[ScalingPolicy]) -> Command[int]:
        """Set them, each in place of its pool's; how many are new."""
        flat: list[str | bytes] = []
        for policy in policies:
            flat += [policy.pool, msgspec.json.encode(policy)]
        return plain("HSET", REGISTRY_SCALING, *flat, decode=int)

    def drop_policy(self, pool: str) -> Command[bool]:
        """False when there is none."""
        return plain("HDEL", REGISTRY_SCALING, pool, decode=lambda reply: int(reply) == 1)

    def wanted(self) -> Command[bool]:
        """Whether there is anything to look at: a policy, or something that was begun."""
        return plain(
            "EXISTS",
            REGISTRY_SCALING,
            REGISTRY_SCALING_STATE,
            decode=lambda reply: int(reply) > 0,
        )

    def policies(self) -> Command[dict[str, ScalingPolicy]]:
        """By pool."""
        return plain(
            "HGETALL", REGISTRY_SCALING, decode=lambda reply: _values(reply, ScalingPolicy)
        )

    def states(self) -> Command[dict[str, PoolState]]:
        """By pool; one without a policy, too, while something of it is under way."""
        return plain(
            "HGETALL", REGISTRY_SCALING_STATE, decode=lambda reply: _values(reply, PoolState)
        )

    def lead(self, *, owner: str, lease_ms: int) -> Command[Leadership]:
        """Take the lease, or renew it. May be repeated."""
        return call(
            "lead_scaling",
            keys=[REGISTRY_SCALING_LEADER],
            args=[self.now_ms(), owner, lease_ms],
            decode=lambda reply: Leadership(int(reply[0]), int(reply[1])),
        )

    def leader(self) -> Command[tuple[str, int]]:
        """Who led last, and until when (ms); "" and 0 when nobody ever has."""
        return plain(
            "HMGET",
            REGISTRY_SCALING_LEADER,
            "owner",
            "until_ms",
            decode=lambda reply: (text(reply[0] or ""), int(reply[1] or 0)),
        )

    def record(
        self,
        *,
        token: int,
        pool: str,
        state: PoolState | None,
        entries: Sequence[ScalingEntry] = (),
    ) -> Command[bool]:
        """Write a pool's state (None drops it) and history; False when `token` is not in force."""
        return call(
            "record_scaling",
            keys=[REGISTRY_SCALING_LEADER, REGISTRY_SCALING_STATE, scaling_history(pool)],
            args=[
                token,
                pool,
                msgspec.json.encode(state) if state is not None else "",
                HISTORY_LENGTH,
                HISTORY_KEPT_MS,
                *map(encode_entry, entries),
            ],
            decode=lambda reply: int(reply) == 1,
        )

    def history(self, *, pool: str, count: int) -> Command[tuple[ScalingEntry, ...]]:
        """The newest entries of a pool, oldest first."""
        return plain(
            "XREVRANGE",
            scaling_history(pool),
            "+",
            "-",
            "COUNT",
            count,
            decode=lambda reply: tuple(
                _entry.decode(fields[1] if isinstance(fields, list) else fields[b"entry"])
                for _, fields in reversed(reply)
            ),
        )
