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


#: Operators that compare numbers.
NUMERIC = frozenset({Operator.GREATER, Operator.AT_LEAST, Operator.LESS, Operator.AT_MOST})


class Capability(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One condition: the instance's capability `name` stands in `operator` to `values`."""

    name: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {', '.join(self.values)}"


class Requirement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What decides where a task may run, its tenant's pool apart."""

    capabilities: tuple[Capability, ...] = ()
    #: The only region it may run in; "" means any.
    region: str = ""
    strategy: str = ""
    #: The only instance it may run on; "" means any.
    instance_id: str = ""


NO_REQUIREMENT = Requirement()
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Requirement)


def spec_of(requirement: Requirement) -> str:
    """Its canonical JSON text; "" for no requirement."""
    if requirement == NO_REQUIREMENT:
        return ""
    ordered = msgspec.structs.replace(
        requirement, capabilities=tuple(sorted(requirement.capabilities))
    )
    return _encoder.encode(ordered).decode()


def digest_of(spec: str) -> str:
    """The part of a class id that stands for the requirement (64 bits; "0" for none)."""
    if not spec:
        return "0"
    return hashlib.blake2b(spec.encode(), digest_size=8).hexdigest()


def class_id(pool: str, spec: str) -> str:
    return f"{pool}.{digest_of(spec)}"


def requirement_of(spec: str) -> Requirement:
    return _decoder.decode(spec) if spec else NO_REQUIREMENT


class RequirementClass(msgspec.Struct, frozen=True):
    """A requirement class as dispatchers route it."""

    class_id: str
    pool: str
    requirement: Requirement

    @classmethod
    def parse(cls, class_id: str, stored: str) -> RequirementClass:
        """From the `classes` hash: "pool\\nspec"."""
        pool, _, spec = stored.partition("\n")
        return cls(class_id, pool, requirement_of(spec))

    def __str__(self) -> str:
        r = self.requirement
        parts = [f"pool {self.pool}"]
        parts += [str(capability) for capability in r.capabilities]
        if r.region:
            parts.append(f"region {r.region}")
        if r.instance_id:
            parts.append(f"instance {r.instance_id}")
        return ", ".join(parts)
