"""Requirement: what a task asks of an instance. Frozen values, no I/O.

Tasks with the same requirement and pool form one requirement class: they may run in the same
places, so routing decides once for all of them.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec


class Operator(StrEnum):
    """How a capability is compared with what an instance offers."""

    EQUAL = "="
    NOT_EQUAL = "!="
    IN = "in"
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="
    #: A version range as Python packages write it: ">=1.2,<2".
    VERSION = "version"


#: Operators that compare numbers.
NUMERIC = frozenset({Operator.GREATER, Operator.AT_LEAST, Operator.LESS, Operator.AT_MOST})


class Capability(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One condition: the instance's capability `name` stands in `operator` to `values`."""

    name: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {', '.join(self.values)}"


class Preference(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A condition that is wished for, not needed: where it holds counts `weight` more."""

    capability: Capability
    weight: float = 1.0

    def __str__(self) -> str:
        return f"{self.capability} (weight {self.weight:g})"


class Requirement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides where a task may run, its tenant's pools apart."""

    capabilities: tuple[Capability, ...] = ()
    #: The only region it may run in; "" means any.
    region: str = ""
    #: As policy/strategy.py reads it; "" means the tenant's or the deployment's.
    strategy: str = ""
    #: The only instance it may run on; "" means any.
    instance_id: str = ""
    #: For the strategy capability-aware.
    preferences: tuple[Preference, ...] = ()


NO_REQUIREMENT = Requirement()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Requirement)


def spec_of(requirement: Requirement) -> str:
    """Its canonical JSON text; "" for no requirement."""
    if requirement == NO_REQUIREMENT:
        return ""
    ordered = msgspec.structs.replace(
        requirement,
        capabilities=tuple(sorted(requirement.capabilities)),
        preferences=tuple(sorted(requirement.preferences)),
    )
    return _encoder.encode(ordered).decode()


def digest_of(spec: str) -> str:
    """The part of a class id that stands for the requirement (64 bits; "0" for none)."""
    if not spec:
        return "0"
    return hashlib.blake2b(spec.encode(), digest_size=8).hexdigest()


def class_id(route: str, spec: str) -> str:
    return f"{route}.{digest_of(spec)}"


#: Between the class that a session's task would have without it and the instance that the session
#: is on: "base~" (none yet), "base~gw-1", and with a mark at the end when it may run nowhere else,
#: "base~gw-1!". No name of an instance or a pool holds either sign.
PIN, HARD = "~", "!"


def base_class(class_id: str) -> str:
    """The class without a session's pin."""
    return class_id.partition(PIN)[0]


def requirement_of(spec: str) -> Requirement:
    return _decoder.decode(spec) if spec else NO_REQUIREMENT


#: Between the pools of a route, and before its strategy.
POOLS, STRATEGY = "+", "!"


def route_of(pools: str, strategy: str) -> str:
    """What a tenant's settings say of where its tasks go: "home+spill!strategy". It is part of
    every class of the tenant, so that no task can run where its tenant may not. `pools` are joined
    by "+" already."""
    return f"{pools}{STRATEGY}{strategy}" if strategy else pools


class RequirementClass(msgspec.Struct, frozen=True):
    """A requirement class as dispatchers route it."""

    class_id: str
    #: The tenant's home pool.
    pool: str
    requirement: Requirement
    #: Where else its tenant may run, by the strategy `fallback` only.
    more_pools: tuple[str, ...] = ()
    #: Of its tenant, or the deployment.
    default_strategy: str = ""
    #: The instance that holds the session of its tasks; "" for any.
    pinned: str = ""
    #: Its sessions run nowhere else, ever.
    hard: bool = False

    @classmethod
    def parse(cls, class_id: str, stored: str, default_strategy: str = "") -> RequirementClass:
        """From the `classes` hash: "route\\nspec"."""
        route, _, spec = stored.partition("\n")
        pools, _, strategy = route.partition(STRATEGY)
        home, *more = pools.split(POOLS)
        pin = class_id.partition(PIN)[2]
        return cls(
            class_id,
            home,
            requirement_of(spec),
            tuple(more),
            strategy or default_strategy,
            pin.removesuffix(HARD),
            pin.endswith(HARD),
        )

    @property
    def unpinned(self) -> RequirementClass:
        """The class of sessions that ask the same and are on no instance yet."""
        return msgspec.structs.replace(
            self, class_id=base_class(self.class_id) + PIN, pinned="", hard=False
        )

    @property
    def strategy(self) -> str:
        """The one in force: the task's, else its tenant's, else the deployment's."""
        return self.requirement.strategy or self.default_strategy

    def __str__(self) -> str:
        r = self.requirement
        parts = [f"pool {POOLS.join((self.pool, *self.more_pools))}"]
        parts += [str(capability) for capability in r.capabilities]
        parts += [f"rather {preference}" for preference in r.preferences]
        if r.region:
            parts.append(f"region {r.region}")
        if r.instance_id:
            parts.append(f"instance {r.instance_id}")
        if self.requirement.strategy:
            parts.append(f"strategy {self.requirement.strategy}")
        if self.pinned:
            parts.append(f"session on {self.pinned}")
        return ", ".join(parts)
