"""`godel scale recommend`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, table
from godel_tasks.cli.scale.telling import change, decision_data, unknown_policy
from godel_tasks.cli.session import opened

if TYPE_CHECKING:
    from godel_tasks.domain.scaling import ScalingDecision
    from godel_tasks.runtime import Runtime


def recommend(
    pool: Annotated[str, typer.Argument(metavar="[POOL]", help="Only this one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what would be decided right now. Nothing is stored, and nothing is done."""
    with opened() as runtime:
        found = asyncio.run(_preview(runtime))
    if pool:
        if pool not in found:
            raise unknown_policy(pool, found)
        found = {pool: found[pool]}
    rows = [
        (name, change(one), one.inputs.queued, one.inputs.running, one.wanted, one.why)
        for name, one in found.items()
    ]
    answer(
        as_json,
        {"pools": {name: decision_data(one) for name, one in found.items()}},
        table("pool", "size>", "waiting>", "running>", "wanted>", "why", rows=rows)
        if rows
        else "No pool has a policy.",
    )


async def _preview(runtime: Runtime) -> dict[str, ScalingDecision]:
    from godel_tasks.fleet.scaling_wiring import open_autoscaler

    async with open_autoscaler(runtime) as scaler:
        return await scaler.preview()
