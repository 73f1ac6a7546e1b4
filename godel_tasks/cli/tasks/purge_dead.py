"""`godel tasks purge-dead`."""

from __future__ import annotations

from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, counted
from godel_tasks.cli.session import opened
from godel_tasks.store.deadletters import DeadLetterCommands
from godel_tasks.views.lists import dead_letters

_BATCH = 1000


def purge_dead(
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    older_than: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Only those buried so long ago.")
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Drop dead letters. Their results stay as long as any result; they can be replayed no more."""
    dropped = 0
    with opened() as runtime:
        now_ms = runtime.store.run(runtime.registry.fleet()).now_ms
        letters = [
            letter
            for letter in dead_letters(runtime, tenant_id=tenant)
            if now_ms - letter.buried_ms >= older_than * 1000
        ]
        if letters and not (yes or as_json):
            typer.confirm(f"Drop {counted(len(letters), 'dead letter')}?", abort=True, err=True)
        for cell in runtime.cells:
            ids = [letter.task_id for letter in letters if letter.cell is cell]
            for i in range(0, len(ids), _BATCH):
                command = DeadLetterCommands(cell.cell).drop(ids[i : i + _BATCH])
                dropped += runtime.store.run(command)
    answer(as_json, {"dropped": dropped}, f"Dropped {counted(dropped, 'dead letter')}.")
