"""Blame: what the end of an attempt says of its instance, and of the provider behind it.

| end | the instance's breaker counts | the provider's breaker counts |
|---|---|---|
| OK | it went well | it went well |
| FAILED by the provider (5xx, 429, credentials) | it went well: it answered | a failure |
| FAILED by the instance | a failure | nothing |
| FAILED by the handler, or by a bad request | it went well: it answered | nothing |
| REJECTED by the instance's fault, or as full | a failure | nothing |
| LOST: it was gone, or did not stop | a failure | nothing |
| TIMED_OUT, CANCELLED, REJECTED otherwise | nothing | nothing |
"""

from __future__ import annotations

from dataclasses import dataclass

from godel_tasks.domain.attempt import Completion, End, Fault
from godel_tasks.domain.breaker import PROVIDER_BREAKER, BreakerConfig, CallOutcome, ErrorKind

#: Refusals (`instances.attempts.Refusal`) of an instance of which its slots say that it has room.
_NO_ROOM = frozenset({"Full"})


@dataclass(frozen=True, slots=True)
class Blame:
    """What each of the two breakers counts."""

    instance: CallOutcome = CallOutcome.NONE
    provider: CallOutcome = CallOutcome.NONE


def outcome_of(completion: Completion, config: BreakerConfig) -> Blame:
    """Whose breaker counts what of an attempt that ended so."""
    slow = 0 < config.slow_call_s * 1000 < completion.run_ms
    well = CallOutcome.SLOW if slow else CallOutcome.OK
    match completion.end:
        case End.OK:
            return Blame(well, well)
        case End.FAILED if completion.fault is Fault.PROVIDER:
            return Blame(CallOutcome.OK, _failed(ErrorKind.SERVER, config, slow=slow))
        case End.FAILED if completion.fault is Fault.INSTANCE:
            return Blame(_failed(ErrorKind.SERVER, config, slow=slow))
        case End.FAILED:
            return Blame(well)
        case End.REJECTED if (
            completion.fault is Fault.INSTANCE or completion.error_type in _NO_ROOM
        ):
            return Blame(_failed(ErrorKind.REFUSED, config))
        case End.LOST:
            return Blame(_failed(ErrorKind.STALL, config))
        case _:
            return Blame()


def _failed(kind: ErrorKind, config: BreakerConfig, *, slow: bool = False) -> CallOutcome:
    if kind not in config.kinds:
        return CallOutcome.NONE
    return CallOutcome.FAILED_SLOWLY if slow else CallOutcome.FAILED


def breakers_behind(capabilities: dict[str, str]) -> tuple[str, ...]:
    """Names of the breakers of what stands behind an instance, by its capabilities."""
    return provider_breakers(capabilities.get("provider", ""), capabilities.get("model", ""))


def provider_breakers(provider: str, model: str) -> tuple[str, ...]:
    """One for the provider, and one for the model there; none where nobody says who it is."""
    if not provider:
        return ()
    own = PROVIDER_BREAKER + provider
    return (own, f"{own}/{model}") if model else (own,)
