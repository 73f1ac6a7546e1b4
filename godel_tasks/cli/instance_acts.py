"""`godel instances start`, `stop`, `restart` and `spawn`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from godel_tasks.cli.managing import managed
from godel_tasks.cli.output import AsJson, answer, notes
from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.errors import GodelError

if TYPE_CHECKING:
    from godel_tasks.fleet.manager import InstanceManager

Id = Annotated[str, typer.Argument(metavar="ID")]


def start(instance_id: Id, as_json: AsJson = False) -> None:
    """Start a stopped instance through its provider, and wait until it is healthy."""
    managed(lambda manager: manager.start(instance_id))
    answer(as_json, {"instance": instance_id}, f"Started instance {instance_id}.")


def stop(instance_id: Id, as_json: AsJson = False) -> None:
    """Stop an instance through its provider: it finishes what it runs. It is not replaced."""
    managed(lambda manager: manager.stop(instance_id))
    answer(as_json, {"instance": instance_id}, f"Stopped instance {instance_id}.")


def restart(instance_id: Id, as_json: AsJson = False) -> None:
    """Restart an instance through its provider, and wait until it is healthy again."""
    managed(lambda manager: manager.restart(instance_id))
    answer(as_json, {"instance": instance_id}, f"Restarted instance {instance_id}.")


def spawn(
    pool: Annotated[
        str, typer.Option(help="What they are made from is said there.")
    ] = DEFAULT_POOL,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make instances of a pool, and wait until they are registered and healthy.

    They go on after this command; `godel instances remove ID` ends them, and all that they are.
    """

    async def make(manager: InstanceManager) -> tuple[list[str], list[GodelError]]:
        made = await asyncio.gather(
            *(manager.spawn(pool) for _ in range(count)), return_exceptions=True
        )
        for each in made:
            if isinstance(each, BaseException) and not isinstance(each, GodelError):
                raise each
        failed = [each for each in made if isinstance(each, GodelError)]
        return [each for each in made if isinstance(each, str)], failed

    names, failed = managed(make)
    if failed:
        if names:
            notes().print(f"Made {', '.join(names)}; {len(failed)} of {count} failed.")
        raise failed[0]
    answer(as_json, {"instances": names}, f"Made {', '.join(names)}.")
