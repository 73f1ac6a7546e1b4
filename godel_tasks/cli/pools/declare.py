"""`godel pools add`, `set` and `remove`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from godel_tasks.cli.managing import managed
from godel_tasks.cli.output import AsJson, answer, counted
from godel_tasks.cli.pools.storing import as_data, check, drop, known_pool, placed, store
from godel_tasks.cli.session import opened
from godel_tasks.cli.values import pairs_of
from godel_tasks.errors import InstanceError, PoolExists
from godel_tasks.policy.pools import changed, declared

Name = Annotated[str, typer.Argument(metavar="NAME")]
Provider = Annotated[
    str | None, typer.Option(help="Who makes its instances: process, docker or kubernetes.")
]
Driver = Annotated[str | None, typer.Option(help="How to talk to them: grpc or openclaw.")]
Capacity = Annotated[int | None, typer.Option(help="Most attempts at once, of each instance.")]
Region = Annotated[str | None, typer.Option(help="Where they are.")]
Capability = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What they can do; repeat it. NAME= takes it away."),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="What the provider is told: handler=module:function, env:NAME=VALUE, ...; repeat it. "
        "NAME= takes it away.",
    ),
]
MinAvailable = Annotated[
    int | None, typer.Option(help="A rolling restart leaves so many that take work.")
]
Replace = Annotated[
    bool | None,
    typer.Option("--replace/--no-replace", help="Whether one that died is made anew."),
]
ReplaceAfter = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="How long it may take to come back.")
]


def add(
    name: Name,
    provider: Provider = None,
    driver: Driver = None,
    capacity: Capacity = None,
    region: Region = None,
    capability: Capability = None,
    option: Option = None,
    min_available: MinAvailable = None,
    replace: Replace = None,
    replace_after: ReplaceAfter = None,
    as_json: AsJson = False,
) -> None:
    """Declare a pool: what its instances are made from, and what is to hold in it.

    Nothing is made by it: `godel instances spawn --pool NAME` or the autoscaler does that.
    """
    table = _table(
        provider, driver, capacity, region, capability, option, min_available, replace,
        replace_after,
    )  # fmt: skip
    config = placed(declared(name, table), Path.cwd())
    check(config)
    with opened() as runtime:
        store(runtime, config, before="")
    answer(as_json, as_data(config), f"Declared pool {name}.")


def set_pool(
    name: Name,
    provider: Provider = None,
    driver: Driver = None,
    capacity: Capacity = None,
    region: Region = None,
    capability: Capability = None,
    option: Option = None,
    min_available: MinAvailable = None,
    replace: Replace = None,
    replace_after: ReplaceAfter = None,
    as_json: AsJson = False,
) -> None:
    """Change a pool. Instances that are made from now on are made from its new template."""
    table = _table(
        provider, driver, capacity, region, capability, option, min_available, replace,
        replace_after,
    )  # fmt: skip
    if not table:
        raise typer.BadParameter("Nothing is to be changed: give an option.")
    with opened() as runtime:
        known = known_pool(runtime, name)
        config = placed(changed(known.value, table), Path.cwd())
        check(config)
        store(runtime, config, before=known.raw)
    answer(as_json, as_data(config), f"Changed pool {name}.")


def remove(name: Name, as_json: AsJson = False) -> None:
    """Forget a pool's declaration. Instances that were made for it have to be removed first."""
    with opened() as runtime:
        known = known_pool(runtime, name)
        members = managed(lambda manager: manager.instances(name))
        made = [member for member in members if member.made is not None]
        if made:
            raise InstanceError(
                f"{counted(len(made), 'instance')} of pool {name!r} were made for it",
                hint=f"remove them first: `godel instances remove {made[0].instance_id}`",
            )
        if known.raw and not drop(runtime, known):
            raise PoolExists(
                f"somebody else has just changed pool {name!r}",
                hint="look with `godel pools show`, and try again",
            )
        from godel_tasks.store.pools import PoolCommands

        rollout = runtime.store.run(PoolCommands().rollout(name))
        if rollout is not None:
            runtime.store.run(PoolCommands().drop_rollout(name, before=rollout.raw))
    answer(as_json, {"pool": name}, f"Removed pool {name}.")


def _table(
    provider: str | None,
    driver: str | None,
    capacity: int | None,
    region: str | None,
    capability: list[str] | None,
    option: list[str] | None,
    min_available: int | None,
    replace: bool | None,
    replace_after_s: float | None,
) -> dict[str, Any]:
    """What was given, as a table of TOML would have it."""
    table = {
        "provider": provider,
        "driver": driver,
        "capacity": capacity,
        "region": region,
        "capabilities": pairs_of(capability, option="--capability") if capability else None,
        "options": pairs_of(option, option="--option") if option else None,
        "min_available": min_available,
        "replace": replace,
        "replace_after_s": replace_after_s,
    }
    return {key: value for key, value in table.items() if value is not None}
