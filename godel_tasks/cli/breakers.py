"""`godel breakers`: circuit breakers, and a person's hand on them."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, counted, facts, table
from godel_tasks.cli.session import opened
from godel_tasks.domain.breaker import INSTANCE_BREAKER, BreakerSnapshot, BreakerState, as_data
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.views.breakers import all_breakers, breaker_named, full_name

breakers = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List and show circuit breakers, hold them open or closed, or leave them to themselves.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As listed; or an instance's id.")]


@breakers.command("list")
def list_breakers(
    troubled: Annotated[
        bool, typer.Option("--not-closed", help="Only those that are not closed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List breakers: of instances, of providers behind them, and those of other code."""
    with opened() as runtime:
        found = [
            snapshot
            for snapshot in all_breakers(runtime)
            if not troubled or snapshot.state is not BreakerState.CLOSED
        ]
    rows = [(snapshot.name, snapshot.state.value, snapshot.words) for snapshot in found]
    answer(
        as_json,
        {"breakers": [as_data(snapshot) for snapshot in found]},
        table("breaker", "state", "why", rows=rows) if rows else "",
        counted(len(rows), "breaker") + ".",
    )


@breakers.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one breaker: state, window, permits."""
    with opened() as runtime:
        data = as_data(breaker_named(runtime, name))
    shown = {key.replace("_", " "): value for key, value in data.items() if value not in (0, "")}
    answer(as_json, data, facts(shown))


@breakers.command("open")
def force_open(name: Name, as_json: AsJson = False) -> None:
    """Hold a breaker open: nothing goes there until somebody lifts it."""
    _force(name, BreakerState.FORCED_OPEN, as_json=as_json)


@breakers.command("close")
def force_closed(name: Name, as_json: AsJson = False) -> None:
    """Hold a breaker closed: everything goes there, whatever fails."""
    _force(name, BreakerState.FORCED_CLOSED, as_json=as_json)


@breakers.command()
def auto(name: Name, as_json: AsJson = False) -> None:
    """Lift what was forced: the breaker judges for itself again, with nothing counted."""
    _force(name, None, as_json=as_json)


def _force(name: str, state: BreakerState | None, *, as_json: bool) -> None:
    with opened() as runtime:
        full = full_name(runtime, name)
        reply = runtime.store.run(BreakerCommands().force(full, state=state, who=getpass.getuser()))
        if full.startswith(INSTANCE_BREAKER):
            told = runtime.registry.tell(
                instance_id=full.removeprefix(INSTANCE_BREAKER), event="breaker.forced"
            )
            runtime.store.run(told)
        else:
            runtime.store.run(BreakerCommands().enlist(full))
    snapshot: BreakerSnapshot = reply.snapshot
    answer(as_json, as_data(snapshot), f"Breaker {snapshot.name} is {snapshot.words}.")
