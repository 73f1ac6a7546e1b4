"""`godel scale policies`, `show`, `set`, `apply`, `remove`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from godel_tasks.cli.output import AsJson, answer, counted, facts, notes, table
from godel_tasks.cli.scale.telling import (
    change,
    decision_data,
    does,
    policy_data,
    read_policies,
    unknown_policy,
)
from godel_tasks.cli.session import opened
from godel_tasks.cli.values import pairs_of
from godel_tasks.domain.scaling import PoolState, ScalingMode, ScalingPolicy, ScalingRule
from godel_tasks.policy.scaling.reading import policy_of
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

Pool = Annotated[str, typer.Argument(metavar="POOL")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="TOML with tables [scaling.POOL].")]
#: Entries in which `show` looks for the newest decision.
_NEWEST = 50


def policies(as_json: AsJson = False) -> None:
    """List the scaling policies."""
    with opened() as runtime:
        found = runtime.store.run(ScalingCommands().policies())
    columns = ("pool", "policy", "rule", "min>", "max>", "warm>", "a day at most>", "does")
    rows = [
        (
            policy.pool,
            policy.name,
            policy.rule.value,
            policy.min_instances,
            "" if policy.max_instances is None else policy.max_instances,
            policy.warm_instances or "",
            _most_a_day(policy),
            does(policy),
        )
        for policy in found.values()
    ]
    answer(
        as_json,
        {"policies": [policy_data(policy) for policy in found.values()]},
        table(*columns, rows=rows) if rows else "",
        counted(len(rows), "pool") + " with a policy."
        if rows
        else "There are none: nothing is scaled. Set one with `godel scale set POOL --max N`.",
    )


def show(pool: Pool, as_json: AsJson = False) -> None:
    """Show a pool's policy, what is under way, and the last decision."""
    commands = ScalingCommands()
    with opened() as runtime:
        policy = _policy(runtime, pool)
        states, (leader, _), entries = runtime.store.pipeline(
            [commands.states(), commands.leader(), commands.history(pool=pool, count=_NEWEST)]
        )
    state: PoolState = states.get(pool, PoolState())
    last = next((e.decision for e in reversed(entries) if e.decision is not None), None)
    data = policy_data(policy)
    under_way = {
        "spawning": [request.instance_id for request in state.spawning],
        "draining": [draining.instance_id for draining in state.draining],
    }
    shown = {name.replace("_", " "): _plain(value) for name, value in data.items()}
    shown |= {
        "does": does(policy),
        "size": change(last) if last else "not looked at yet",
        "because": last.why if last else "",
        "spawning": len(state.spawning) or "",
        "draining": ", ".join(under_way["draining"]),
        "decided by": leader,
    }
    shown.pop("acts")
    answer(
        as_json,
        {
            "policy": data,
            **under_way,
            "leader": leader,
            "last": decision_data(last) if last else None,
        },
        facts(shown),
    )


def set_policy(
    pool: Pool,
    name: Annotated[str | None, typer.Option(help="The reason that actions carry.")] = None,
    rule: Annotated[ScalingRule | None, typer.Option(help="How the size is found.")] = None,
    mode: Annotated[
        ScalingMode | None, typer.Option(help="recommend: decide, store it, and do nothing.")
    ] = None,
    least: Annotated[int | None, typer.Option("--min", help="Instances at least.")] = None,
    most: Annotated[int | None, typer.Option("--max", help="Instances at most.")] = None,
    warm: Annotated[int | None, typer.Option(help="Idle instances on top of the demand.")] = None,
    hourly_cost: Annotated[
        float | None, typer.Option(metavar="USD", help="What one instance costs an hour.")
    ] = None,
    hourly_ceiling: Annotated[
        float | None, typer.Option(metavar="USD", help="What all of them may cost an hour.")
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=VALUE", help="Any other field; repeat it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set a pool's policy, or change what is named of it.

    Fields and their meaning stand in the reference of scaling. Values of --with are TOML, as
    --with tolerance=0.2 or --with 'step_up={count=4, period_s=15}'.
    """
    given = {
        "name": name,
        "rule": rule,
        "mode": mode,
        "min_instances": least,
        "max_instances": most,
        "warm_instances": warm,
        "hourly_cost_usd": hourly_cost,
        "hourly_ceiling_usd": hourly_ceiling,
    }
    values = {key: value for key, value in given.items() if value is not None}
    values |= {key: _toml(text) for key, text in pairs_of(other or [], option="--with").items()}
    with opened() as runtime:
        before = runtime.store.run(ScalingCommands().policies()).get(pool)
        if before is None and not values:
            raise typer.BadParameter("Nothing is said of the policy: give --max, for example.")
        known = {k: v for k, v in msgspec.to_builtins(before or {}).items() if v is not None}
        known.pop("pool", None)
        policy = policy_of(pool, {**known, **values})
        runtime.store.run(ScalingCommands().put_policies([policy]))
        _warn(runtime, policy)
    verb = "Set" if before is None else "Changed"
    answer(as_json, {"policy": policy_data(policy)}, f"{verb} it: pool {pool} {does(policy)}.")


def apply(file: File, as_json: AsJson = False) -> None:
    """Set the policies of a file, each in place of its pool's; all or none."""
    found = read_policies(file)
    with opened() as runtime:
        new = runtime.store.run(ScalingCommands().put_policies(found))
        for policy in found:
            _warn(runtime, policy)
    lines = [f"Pool {policy.pool} {does(policy)}." for policy in found]
    answer(
        as_json,
        {"policies": [policy_data(policy) for policy in found], "new": new},
        f"Set {len(found)} of {counted(len(found), 'pool')}, {new} of them new.",
        *lines,
    )


def remove(pool: Pool, as_json: AsJson = False) -> None:
    """Remove a pool's policy: its size stays as it is. What is draining is brought to an end."""
    with opened() as runtime:
        policy = _policy(runtime, pool)
        runtime.store.run(ScalingCommands().drop_policy(pool))
    answer(as_json, {"policy": policy_data(policy)}, f"Removed the policy of pool {pool}.")


def _policy(runtime: Runtime, pool: str) -> ScalingPolicy:
    found = runtime.store.run(ScalingCommands().policies())
    if pool not in found:
        raise unknown_policy(pool, found)
    return found[pool]


def _warn(runtime: Runtime, policy: ScalingPolicy) -> None:
    """Where it cannot do what it says."""
    declared = runtime.store.run(PoolCommands().pool(policy.pool))
    if declared is None or declared.value.template is None:
        notes().print(
            f"note:  pool {policy.pool} does not say what its instances are made from: "
            "nothing can be made in it yet.",
            soft_wrap=True,
        )


def _most_a_day(policy: ScalingPolicy) -> str:
    if not policy.hourly_cost_usd or policy.hourly_ceiling_usd is None:
        return ""
    return f"${24 * policy.hourly_ceiling_usd:,.2f}"


def _plain(value: Any) -> Any:
    """A value within `facts`: inner tables in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {v:g}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(
            f"{v['floor']} on {v['days']} {v['start']}-{v['end']} {v['timezone']}" for v in value
        )
    return value


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
