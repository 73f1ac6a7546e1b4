"""Routing: where a task goes, and why. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Scored(msgspec.Struct, frozen=True, array_like=True):
    """A candidate with what its strategy thinks of it: the lowest (tier, score) goes first."""

    instance_id: str
    tier: int
    score: float
    #: The score in words.
    why: str
    free: int = 0


class Filtered(msgspec.Struct, frozen=True, array_like=True):
    """An instance that was no candidate, and what stood against it."""

    instance_id: str
    reason: str


class RoutingDecision(msgspec.Struct, frozen=True):
    """Where a task goes.

    `estimated_latency` is in ms: how long the instance takes to answer, 0.0 while not known;
    `queue_depth` counts what it runs and what waits on it. `candidates` are in order of preference,
    the chosen one first; `filtered` are the others, each with its reason.
    """

    instance_id: str
    estimated_latency: float
    queue_depth: int
    capabilities: Mapping[str, str]
    reason: str
    strategy: str = ""
    candidates: tuple[Scored, ...] = ()
    filtered: tuple[Filtered, ...] = ()


class Routed(msgspec.Struct, frozen=True, array_like=True):
    """How one dispatcher planned a tick for one class, as far as it is kept: the best candidates,
    and the first of those that were filtered. `picked` counts slots by instance."""

    class_id: str
    strategy: str
    reason: str
    picked: dict[str, int]
    candidates: tuple[Scored, ...]
    candidate_count: int
    filtered: tuple[Filtered, ...]
    filtered_count: int
