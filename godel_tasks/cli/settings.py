"""`godel settings`: what is in force, passwords left out."""

from __future__ import annotations

from typing import Any

from godel_tasks.cli.output import AsJson, answer, facts
from godel_tasks.embedded import masked, needs_embedded, read_info
from godel_tasks.settings import load_settings


def settings(as_json: AsJson = False) -> None:
    """Print the settings in force, and the server that they lead to. Passwords are masked."""
    found = load_settings()
    values: dict[str, Any] = {}
    for name, value in found.model_dump(mode="json").items():
        values[name] = masked(value) if name.endswith("_url") else value
    server = _server(values["redis_url"]) if not needs_embedded(found) else None
    if server is None:
        info = read_info(found.data_dir)
        running = info is not None and info.alive()
        server = (
            f"embedded {info.flavour} {info.version}, process {info.pid}"
            if info is not None and running
            else "nothing runs on the data folder; start it with `godel up`"
        )
    answer(as_json, {"settings": values, "server": server}, facts({**values, "server": server}))


def _server(url: str) -> str:
    return url or "as the separate URLs say"
