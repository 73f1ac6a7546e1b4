"""`godel openclaw install`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, notes, span


def install(
    force: Annotated[
        bool, typer.Option("--force", help="Make it anew; no gateway may run from it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Install the OpenClaw and the Node that this Godel is pinned to, for this user.

    It takes about a minute and 0.9 GB, in GODEL_OPENCLAW_DIR or else in the user's cache. pip and
    npm fetch it, with hashes checked; no package's install script is run.
    """
    from godel_tasks.openclaw import install as installing

    before, started = installing.installed(), time.monotonic()
    found = installing.install(force=force, say=notes().print)
    new = force or before is None
    took_ms = (time.monotonic() - started) * 1000
    answer(
        as_json,
        {
            "folder": str(found.folder),
            "openclaw": found.version,
            "node": found.node_version,
            "new": new,
            "took_ms": round(took_ms),
        },
        f"Installed {found.version} with Node {found.node_version} in {span(took_ms)}."
        if new
        else f"{found.version} with Node {found.node_version} is installed already.",
        str(found.folder),
    )
