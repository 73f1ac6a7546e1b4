"""`godel pools list` and `godel pools show`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.managing import managed, member_as_data
from godel_tasks.cli.output import AsJson, answer, counted, facts, table
from godel_tasks.cli.pools.storing import all_pools, as_data, known_pool
from godel_tasks.cli.session import opened

if TYPE_CHECKING:
    from godel_tasks.domain.member import Member
    from godel_tasks.domain.rollout import Rollout


def list_pools(as_json: AsJson = False) -> None:
    """List all pools, with what they are made from and how many instances they have."""
    with opened() as runtime:
        pools = all_pools(runtime)
    members = managed(lambda manager: manager.instances())
    counts = {name: _counts(members, name) for name in pools}
    rows = [
        (
            name,
            f"{config.template.provider}/{config.template.driver}" if config.template else "",
            config.template.capacity if config.template else "",
            counts[name].get("up", 0),
            sum(counts[name].values()),
            config.min_available or "",
            "yes" if config.replace else "",
        )
        for name, config in pools.items()
    ]
    columns = ("pool", "made by", "capacity>", "up>", "instances>", "min available>", "replaces")
    answer(
        as_json,
        {"pools": [as_data(config) | {"instances": counts[n]} for n, config in pools.items()]},
        table(*columns, rows=rows),
        counted(len(rows), "pool") + ".",
    )


def show(name: Annotated[str, typer.Argument(metavar="NAME")], as_json: AsJson = False) -> None:
    """Show one pool: its template, its instances, and a rolling restart that is under way."""
    from godel_tasks.store.pools import PoolCommands

    with opened() as runtime:
        config = known_pool(runtime, name).value
        stored = runtime.store.run(PoolCommands().rollout(name))
    members = managed(lambda manager: manager.instances(name, ask_providers=True))
    data = as_data(config)
    flat = {key: value for key, value in data.items() if key != "template"}
    flat |= data["template"] or {}
    for key in ("capabilities", "options"):
        flat[key] = ", ".join(f"{n}={v}" for n, v in sorted(flat.get(key, {}).items()))
    rollout = stored.value if stored else None
    answer(
        as_json,
        data
        | {"instances": [member_as_data(member) for member in members]}
        | {"rollout": rollout_as_data(rollout) if rollout else None},
        facts({key.replace("_", " "): value for key, value in flat.items()}),
        _members(members) if members else "It has no instances.",
        _rolling(rollout) if rollout else "",
    )


def rollout_as_data(rollout: Rollout) -> dict[str, Any]:
    """A rolling restart as JSON shows it; `stopped` says why it does not go on, null while it
    does."""
    return {
        "pool": rollout.pool,
        "done": list(rollout.done),
        "in_hand": list(rollout.in_hand),
        "left": list(rollout.left),
        "skipped": list(rollout.skipped),
        "max_unavailable": rollout.max_unavailable,
        "stopped": rollout.stopped or None,
    }


def _counts(members: list[Member], pool: str) -> dict[str, int]:
    return dict(Counter(member.state.value for member in members if member.pool == pool))


def _members(members: list[Member]) -> Any:
    rows = [
        (
            member.instance_id,
            member.state.value,
            "yes" if member.made else "",
            member.slots_used,
            member.record.config.endpoint if member.record else "",
            member.provided.detail if member.provided else "",
        )
        for member in members
    ]
    return table("instance", "state", "made here", "slots used>", "endpoint", "detail", rows=rows)


def _rolling(rollout: Rollout) -> str:
    words = (
        f"A rolling restart has done {len(rollout.done)} of {len(rollout.todo)}, "
        f"{len(rollout.in_hand)} in hand"
    )
    return f"{words}; it stopped: {rollout.stopped}" if rollout.stopped else words + "."
