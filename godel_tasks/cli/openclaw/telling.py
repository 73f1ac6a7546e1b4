"""A gateway as the commands show it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from godel_tasks.cli.output import span, table
from godel_tasks.openclaw import gateways, processes
from godel_tasks.openclaw.folder import folder_of
from godel_tasks.openclaw.health import is_ready
from godel_tasks.openclaw.template import Spec


def as_data(data_dir: Path, specs: Sequence[Spec]) -> list[dict[str, Any]]:
    """What they are and how they are, each; what does not run has no pid."""
    return asyncio.run(_all(data_dir, specs))


def as_table(found: Sequence[dict[str, Any]]) -> Any:
    """For people."""
    rows = [
        (
            each["instance"],
            each["pid"],
            each["port"],
            each["state"],
            None if each["uptime_ms"] is None else span(each["uptime_ms"]),
            None if each["memory_bytes"] is None else f"{each['memory_bytes'] / 1e6:,.0f} MB",
            each["model"]["name"] + (" (stand-in)" if each["model"]["standin"] else ""),
            each["folder"],
        )
        for each in found
    ]
    columns = ("gateway", "pid>", "port>", "state", "uptime>", "memory>", "model", "folder")
    return table(*columns, rows=rows)


async def _all(data_dir: Path, specs: Sequence[Spec]) -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_one(data_dir, spec) for spec in specs)))


async def _one(data_dir: Path, spec: Spec) -> dict[str, Any]:
    folder = folder_of(data_dir, spec.instance_id)
    main = processes.main_process(folder)
    ready = main is not None and await is_ready(spec.port)
    memory = processes.memory_bytes(processes.every_process(folder))
    return {
        "instance": spec.instance_id,
        # A pid that is recorded and gone: killed, or ended by itself.
        "state": _state(main is not None, ready, folder.process.exists()),
        "ready": ready,
        "pid": main.pid if main else None,
        "port": spec.port,
        "endpoint": gateways.instance_config(data_dir, spec).endpoint,
        "uptime_ms": round((time.time() - main.create_time()) * 1000) if main else None,
        "memory_bytes": memory or None,
        "capacity": spec.capacity,
        "region": spec.region,
        "pool": spec.pool,
        "model": {
            "url": spec.model.url,
            "name": spec.model.name,
            "key": spec.model.key or None,
            "standin": spec.model.standin,
        },
        "folder": str(folder.path),
    }


def _state(runs: bool, ready: bool, recorded: bool) -> str:
    if runs:
        return "ready" if ready else "not ready"
    return "died" if recorded else "stopped"
