"""`godel pools restart`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, counted, notes
from godel_tasks.cli.pools.look import rollout_as_data
from godel_tasks.cli.session import opened
from godel_tasks.domain.rollout import Rollout


def restart(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    max_unavailable: Annotated[
        int, typer.Option(min=1, help="Most instances that may be missing at once.")
    ] = 1,
    drain_deadline: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Then one is restarted though it runs tasks."),
    ] = 600.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the one that was broken off or stopped.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin anew though one was broken off.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restart a pool's instances one after the other: drain, restart, healthy again, next.

    Never fewer than the pool's --min-available take work. It stops at the first that does not come
    back. Ctrl-C breaks it off; --resume goes on.
    """
    if resume and anew:
        raise typer.BadParameter("Give --resume or --anew, not both.")
    from godel_tasks.fleet.manager import InstanceManager
    from godel_tasks.fleet.rollout import RollingRestart

    with opened() as runtime:

        async def run() -> Rollout:
            store = runtime.async_store()
            try:
                rolling = RollingRestart(
                    InstanceManager(store),
                    store,
                    say=lambda line: notes().print(line, markup=False),
                )
                if anew:
                    await rolling.forget(name)
                if resume:
                    return await rolling.resume(name)
                return await rolling.begin(
                    name, max_unavailable=max_unavailable, drain_deadline_s=drain_deadline
                )
            finally:
                await store.close()

        done = asyncio.run(run())
    skipped = f", {len(done.skipped)} that Godel cannot restart left" if done.skipped else ""
    answer(
        as_json,
        rollout_as_data(done),
        f"Restarted {counted(len(done.done), 'instance')} of pool {name}{skipped}.",
    )
