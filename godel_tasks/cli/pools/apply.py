"""`godel pools apply`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, counted
from godel_tasks.cli.pools.storing import as_data, check, placed, store
from godel_tasks.cli.session import opened
from godel_tasks.policy.pools import declared, tables_of


def apply(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="TOML with tables [pools.NAME].")
    ],
    as_json: AsJson = False,
) -> None:
    """Declare the pools of a file, or change them to what it says; others stay as they are.

    A pool is then exactly what its table says. A relative `cwd` is below the file's folder. All is
    checked before anything is stored.
    """
    from godel_tasks.store.pools import PoolCommands

    try:
        document = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} is no TOML: {error}.") from None
    configs = [declared(name, table) for name, table in tables_of(document).items()]
    configs = [placed(config, file.absolute().parent) for config in configs]
    for config in configs:
        check(config)
    with opened() as runtime:
        known = runtime.store.run(PoolCommands().pools())
        for config in configs:
            before = known.get(config.name)
            store(runtime, config, before=before.raw if before else "")
    answer(
        as_json,
        {"pools": [as_data(config) for config in configs]},
        f"Declared {counted(len(configs), 'pool')}: {', '.join(c.name for c in configs)}.",
    )
