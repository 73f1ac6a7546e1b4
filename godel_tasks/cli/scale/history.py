"""`godel scale history`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from godel_tasks.cli.output import AsJson, answer, table
from godel_tasks.cli.scale.telling import act_data, change, clock, decision_data
from godel_tasks.cli.session import opened
from godel_tasks.domain.scaling import ScalingAct, ScalingDecision
from godel_tasks.errors import UnknownScalingPolicy
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry


def history(
    pool: Annotated[str, typer.Argument(metavar="POOL")],
    limit: Annotated[int, typer.Option(min=1, help="The newest entries.")] = 30,
    moves: Annotated[
        bool, typer.Option("--moves", help="Only decisions that change the size, and acts.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what was decided about a pool's size, what was seen then, and what was done."""
    commands = ScalingCommands()
    with opened() as runtime:
        entries = runtime.store.run(commands.history(pool=pool, count=100_000 if moves else limit))
        known = runtime.store.run(commands.policies())
    if not entries and pool not in known:
        raise UnknownScalingPolicy(
            f"nothing was ever decided about pool {pool!r}",
            hint=f"set a policy with `godel scale set {pool}`",
        )
    if moves:
        entries = tuple(e for e in entries if e.decision is None or e.decision.delta)[-limit:]
    columns = ("at (UTC)", "what", "size>", "waiting>", "running>", "why")
    rows = [_row(entry) for entry in entries]
    data = [_data(entry) for entry in entries]
    answer(
        as_json,
        {"pool": pool, "entries": data},
        table(*columns, rows=rows) if rows else "Nothing was decided yet.",
    )


def _data(entry: ScalingEntry) -> dict[str, Any]:
    if entry.decision is not None:
        return decision_data(entry.decision)
    return act_data(entry.act) if entry.act is not None else {}


def _row(entry: ScalingEntry) -> tuple[object, ...]:
    if entry.decision is not None:
        return _decision_row(entry.decision)
    return _act_row(entry.act) if entry.act is not None else ()


def _decision_row(decision: ScalingDecision) -> tuple[object, ...]:
    inputs = decision.inputs
    at, what = clock(inputs.at_ms), "decided" if decision.acts else "recommended"
    return at, what, change(decision), inputs.queued, inputs.running, decision.why


def _act_row(act: ScalingAct) -> tuple[object, ...]:
    return clock(act.at_ms), f"{act.what} {act.instance_id}".strip(), "", "", "", act.detail
