"""`godel openclaw ls`."""

from __future__ import annotations

from godel_tasks.cli.output import AsJson, answer
from godel_tasks.settings import load_settings


def ls(as_json: AsJson = False) -> None:
    """List the gateways of this data folder (GODEL_DATA_DIR), running or not.

    `died` is one that ended without `godel openclaw stop`. Memory is that of all its processes.
    """
    from godel_tasks.cli.openclaw.telling import as_data, as_table
    from godel_tasks.openclaw.gateways import all_gateways

    data_dir = load_settings().data_dir
    found = as_data(data_dir, all_gateways(data_dir))
    answer(
        as_json,
        {"gateways": found},
        as_table(found) if found else "There are none. Start one: `godel openclaw start --help`.",
    )
