"""One look at a pool, planned: its new state, and what is to be done once that is stored. Pure.

Whatever is done is written into the state first, so that whoever decides next after a kill goes on
from there: see the scaling rows of docs/explanation/crash-safety.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.member import Member, MemberState
from godel_tasks.domain.scaling import (
    Draining,
    PoolState,
    ScalingAct,
    ScalingDecision,
    ScalingKind,
    ScalingPolicy,
    Spawning,
)
from godel_tasks.policy.scaling.decide import changed, decide
from godel_tasks.policy.scaling.drains import DrainStep, drain_step
from godel_tasks.policy.scaling.seeing import PoolSeen, inputs_of

#: A request without an answer, whose asker is gone: by then what was begun can be seen.
ORPHAN_MS = 5_000
BACKOFF_MS = 2_000
BACKOFF_MAX_MS = 300_000

_STATUS = {MemberState.UP: InstanceStatus.UP, MemberState.DRAINING: InstanceStatus.DRAINING}


@dataclass(frozen=True, slots=True)
class Plan:
    """`state` None: nothing is left to remember. `spawns` are keys of requests; `cordons` and
    `removals` ids of instances, a removal with its reason; `notes` belong in the history."""

    state: PoolState | None
    decision: ScalingDecision | None
    spawns: tuple[str, ...] = ()
    cordons: tuple[str, ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[ScalingAct, ...] = ()


def plan(
    policy: ScalingPolicy | None,
    seen: PoolSeen,
    state: PoolState,
    *,
    token: int,
    underway: Collection[str] = (),
) -> Plan:
    """What to do now. `token` names the leadership that new requests are made under; `underway` are
    requests and instances that this very process is busy with. Without a policy only what was begun
    is brought to an end."""
    notes: list[ScalingAct] = []
    state = _arrived(seen, state, underway, notes)
    state, cordons, removals = _drained(seen, state, underway, notes)
    if policy is None:
        if not state.busy:
            return Plan(None, None, notes=tuple(notes))
        return Plan(state, None, (), cordons, removals, tuple(notes))
    leaving = {draining.instance_id for draining in state.draining}
    decision, memory = decide(policy, inputs_of(seen, state, leaving), state.memory)
    state = replace(state, memory=memory)
    spawns: tuple[str, ...] = ()
    if decision.acts and decision.delta > 0 and seen.at_ms < state.again_ms:
        until = datetime.fromtimestamp(state.again_ms / 1000, UTC).strftime("%H:%M:%S")
        held = f"{decision.inputs.size} until {until}, as {state.failures} spawns failed in a row"
        decision = replace(decision, clamps=(*decision.clamps, held))
    elif decision.acts:
        spawns = tuple(f"{token}.{seen.at_ms}.{n}" for n in range(max(0, decision.delta)))
        state = _begun(policy, state, decision, spawns)
        cordons += decision.take
    return Plan(state, decision, spawns, cordons, removals, tuple(notes))


def _arrived(
    seen: PoolSeen, state: PoolState, underway: Collection[str], notes: list[ScalingAct]
) -> PoolState:
    """Without the requests that are answered, and those that nobody waits for any more."""
    members = {member.instance_id: member for member in seen.members}
    kept, lost = [], []
    for request in state.spawning:
        member = members.get(request.instance_id)
        age_ms = seen.at_ms - request.at_ms
        if request.instance_id and member is not None and member.state in _STATUS:
            continue
        if request.key in underway:
            kept.append(request)
        elif not request.instance_id and age_ms >= ORPHAN_MS:
            # If it was begun, it is among the members by now.
            notes.append(_note(seen, ScalingKind.OUT, "", "failed", "whoever asked for it is gone"))
        elif seen.at_ms >= request.until_ms:
            notes.append(
                _note(seen, ScalingKind.OUT, request.instance_id, "failed", "it did not come up")
            )
            lost.append(Draining(request.instance_id, seen.at_ms, seen.at_ms, removing=True))
        else:
            kept.append(request)
    return replace(state, spawning=tuple(kept), draining=(*state.draining, *lost))


def _drained(
    seen: PoolSeen, state: PoolState, underway: Collection[str], notes: list[ScalingAct]
) -> tuple[PoolState, tuple[str, ...], dict[str, str]]:
    """The next step of every instance on its way out."""
    members = {member.instance_id: member for member in seen.members}
    kept: list[Draining] = []
    cordons: list[str] = []
    removals: dict[str, str] = {}
    for draining in state.draining:
        name = draining.instance_id
        if name in underway:
            kept.append(draining)
            continue
        member = members.get(name)
        used = member.slots_used if member else 0
        next_ = drain_step(draining, status=_status(member), used=used, now_ms=seen.at_ms)
        if next_.step is DrainStep.LEAVE:
            notes.append(_note(seen, ScalingKind.IN, name, "taken back", next_.reason))
            continue
        if next_.step is DrainStep.CORDON:
            cordons.append(name)
        elif next_.step is DrainStep.REMOVE and not _out_of_reach(seen, member):
            removals[name] = next_.reason
            draining = replace(draining, removing=True)
        kept.append(draining)
    return replace(state, draining=tuple(kept)), tuple(cordons), removals


def _out_of_reach(seen: PoolSeen, member: Member | None) -> bool:
    """It runs, and its provider does not see it from here: it was made at another place, where a
    later leader may be. Taken out of the registry, it would come back."""
    runs = member is not None and member.state in _STATUS
    return seen.asked and runs and member is not None and member.provided is None


def _status(member: Member | None) -> InstanceStatus | None:
    return _STATUS.get(member.state, InstanceStatus.DEAD) if member is not None else None


def _begun(
    policy: ScalingPolicy, state: PoolState, decision: ScalingDecision, spawns: tuple[str, ...]
) -> PoolState:
    now_ms = decision.inputs.at_ms
    until_ms = now_ms + int(policy.start_timeout_s * 1000)
    deadline_ms = now_ms + int(policy.drain_deadline_s * 1000)
    return replace(
        state,
        memory=changed(state.memory, now_ms, len(spawns) - len(decision.take)),
        spawning=(*state.spawning, *(Spawning(key, now_ms, until_ms) for key in spawns)),
        draining=(
            *state.draining,
            *(Draining(name, now_ms, deadline_ms) for name in decision.take),
        ),
    )


def _note(seen: PoolSeen, kind: ScalingKind, name: str, what: str, detail: str) -> ScalingAct:
    return ScalingAct(seen.at_ms, kind, name, what, detail)


# -- what became of it ---------------------------------------------------------------------------


def spawned(state: PoolState, key: str, instance_id: str) -> PoolState:
    """The request was answered: its instance is there."""
    answered = tuple(
        replace(request, instance_id=instance_id) if request.key == key else request
        for request in state.spawning
    )
    return replace(state, spawning=answered, failures=0, again_ms=0)


def not_spawned(state: PoolState, key: str, now_ms: int) -> PoolState:
    """The request failed; the next one waits, twice as long after each failure in a row."""
    left = tuple(request for request in state.spawning if request.key != key)
    if len(left) == len(state.spawning):
        return state
    failures = state.failures + 1
    return replace(
        state,
        memory=changed(state.memory, now_ms, -1),
        spawning=left,
        failures=failures,
        again_ms=now_ms + backoff_ms(failures),
    )


def cordoned(state: PoolState, instance_id: str) -> PoolState:
    return _change(state, instance_id, cordoned=True)


def removed(state: PoolState, instance_id: str) -> PoolState:
    left = tuple(d for d in state.draining if d.instance_id != instance_id)
    return replace(state, draining=left)


def not_removed(state: PoolState, instance_id: str, now_ms: int) -> PoolState:
    """Its removal failed, and is tried again later."""
    before = [d.failures for d in state.draining if d.instance_id == instance_id]
    failures = 1 + max(before, default=0)
    again_ms = now_ms + backoff_ms(failures)
    return _change(state, instance_id, failures=failures, again_ms=again_ms)


def _change(state: PoolState, instance_id: str, **changes: int) -> PoolState:
    return replace(
        state,
        draining=tuple(
            replace(d, **changes) if d.instance_id == instance_id else d  # type: ignore[arg-type]
            for d in state.draining
        ),
    )


def backoff_ms(failures: int) -> int:
    """How long to wait after so many failures in a row."""
    return min(BACKOFF_MAX_MS, BACKOFF_MS << min(failures - 1, 20))
