"""`godel instance`: serve any Python function as an instance."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson
from godel_tasks.clock import SystemClock
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig
from godel_tasks.instances.handlers import load_handler
from godel_tasks.instances.server.process import InstanceProcess, ProcessOptions
from godel_tasks.instances.server.run import serve_until_told
from godel_tasks.openclaw.folder import write_private
from godel_tasks.process import loop_factory, spare_start_up
from godel_tasks.settings import Settings, load_settings

Announce = Callable[[InstanceProcess], None]

#: Addresses to listen on that nobody can connect to.
EVERYWHERE = ("0.0.0.0", "::", "[::]")  # noqa: S104 - compared with, not bound

#: What an instance id may be made of: it is part of Redis keys and of file names.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def instance(
    handler: Annotated[
        str, typer.Option(help="The function to serve, as module:function; sync or async.")
    ],
    capacity: Annotated[
        int, typer.Option(min=1, help="Most attempts at once, of each instance.")
    ] = 1,
    region: Annotated[str, typer.Option(help="Default: the setting GODEL_REGION.")] = "",
    pool: Annotated[str, typer.Option(help="The trust domain it belongs to.")] = DEFAULT_POOL,
    capability: Annotated[
        list[str] | None, typer.Option(help="What it can do, as name=value; repeat it.")
    ] = None,
    id_: Annotated[
        str, typer.Option("--id", help="Its name in the registry. Default: this host's and a tag.")
    ] = "",
    count: Annotated[
        int, typer.Option(min=1, help="Serve so many instances, ID-1 to ID-COUNT.")
    ] = 1,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    advertise: Annotated[
        str, typer.Option(help="The host that dispatchers reach it by. Default: --host.")
    ] = "",
    inline: Annotated[
        bool,
        typer.Option(help="Run a sync handler on the event loop: only if it takes microseconds."),
    ] = False,
    journal: Annotated[
        Path | None, typer.Option(help="Append a JSON line for each start and end of a handler.")
    ] = None,
    drain_timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds. Default: GODEL_DRAIN_TIMEOUT_S.")
    ] = None,
    provider: Annotated[
        str, typer.Option(help="Who starts and stops it, as the registry is to name it.")
    ] = "static",
    announce_in: Annotated[
        Path | None,
        typer.Option("--announce", help="Write where it listens into this file, as JSON, too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a Python function as an instance, and register it.

    TERM drains: nothing new is taken, what runs is finished. A second TERM quits at once.
    With `--json` the line that says where it listens is a JSON object.
    """
    settings = load_settings()
    # As `celery` does: the handler may stand in the folder that the command is given in.
    sys.path.insert(0, str(Path.cwd()))
    base = InstanceConfig(
        instance_id=_id(id_),
        endpoint="",
        capacity=capacity,
        region=region or settings.region,
        pool=pool,
        capabilities=_capabilities(capability or []),
        workspace_dir=str(Path.cwd()),
        provider=provider,
    )
    options = ProcessOptions(
        instances=_numbered(base, count),
        handler=load_handler(handler),
        host=host,
        port=port,
        advertise=advertise or (socket.gethostname() if host in EVERYWHERE else ""),
        inline=inline,
        journal=journal,
        heartbeat_every_s=settings.heartbeat_every_ms / 1000,
        drain_timeout_s=settings.drain_timeout_s if drain_timeout is None else drain_timeout,
    )

    def announce(process: InstanceProcess) -> None:
        ids = [config.instance_id for config in options.instances]
        facts = {"endpoint": process.endpoint, "handler": handler, "capacity": capacity}
        if announce_in is not None:
            write_private(announce_in, {"instances": ids, **facts})
        line = "instance {} listens on {endpoint}, serves {handler}, capacity {capacity}"
        spare_start_up()
        print(
            json.dumps({"instances": ids, **facts})
            if as_json
            else line.format(", ".join(ids), **facts),
            flush=True,
        )

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(options, settings, announce))


async def _serve(options: ProcessOptions, settings: Settings, announce: Announce) -> None:
    # The one place where an instance process meets the store.
    from godel_tasks.runtime import open_registrar

    async with open_registrar(settings) as registrar:
        await serve_until_told(options, registrar, SystemClock(), announce)


def _id(given: str) -> str:
    name = given or f"{socket.gethostname()[:80]}-{uuid.uuid4().hex[:6]}"
    if not ID.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r}: letters, digits, '.', '_' and '-', at most 100", param_hint="--id"
        )
    return name


def _numbered(base: InstanceConfig, count: int) -> list[InstanceConfig]:
    if count == 1:
        return [base]
    return [replace(base, instance_id=f"{base.instance_id}-{n}") for n in range(1, count + 1)]


def _capabilities(pairs: list[str]) -> dict[str, str]:
    capabilities = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--capability")
        capabilities[name] = value
    return capabilities
