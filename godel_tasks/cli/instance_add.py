"""`godel instances add`: register an instance by hand."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from godel_tasks.cli.instance_data import as_data
from godel_tasks.cli.output import AsJson, answer, span
from godel_tasks.cli.session import opened
from godel_tasks.cli.values import pairs_of
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig, InstanceStatus
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InstanceError
from godel_tasks.instances.drivers import driver_named, driver_names
from godel_tasks.openclaw.registering import register_instance
from godel_tasks.views.instances import all_instances, instance_named

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

#: What an instance id may be made of, as `godel instance --id` has it.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DAY_S = 86_400.0
#: Endpoints of gateways.
_WEBSOCKET = ("ws", "wss")


def add(
    instance_id: Annotated[
        str, typer.Argument(metavar="ID", help="Or a driver's name: then the id is made of it.")
    ],
    endpoint: Annotated[
        str, typer.Argument(help="host:port, or ws://host:port of an OpenClaw gateway.")
    ],
    driver: Annotated[
        str, typer.Option(help=f"One of {', '.join(driver_names())}; told by the endpoint.")
    ] = "",
    capacity: Annotated[
        int, typer.Option(min=0, help="Most attempts at once. [default: 1; 8 for a gateway]")
    ] = 0,
    region: Annotated[str, typer.Option()] = "",
    pool: Annotated[str, typer.Option(help="The trust domain it belongs to.")] = DEFAULT_POOL,
    capability: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeat it.")
    ] = None,
    credentials: Annotated[
        str, typer.Option(metavar="env:NAME|file:PATH", help="Where its credentials are.")
    ] = "",
    token_env: Annotated[
        str, typer.Option(metavar="NAME", help="The variable that holds its token: env:NAME.")
    ] = "",
    device: Annotated[
        bool, typer.Option("--device", help="Make a device identity and pair it; keeps a file.")
    ] = False,
    lease: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long it counts as alive.")
    ] = _DAY_S,
    replace: Annotated[
        bool, typer.Option("--replace", help="Though one of that id is registered already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register an instance by hand, one that sends no heartbeats of its own.

    Dispatchers attend an OpenClaw gateway: it is up once one of them has reached it. Nobody attends
    any other: it counts as alive until --lease is over, also when it is not there. An instance of
    `godel instance` registers itself and needs none of this.
    """
    scheme = urlsplit(endpoint).scheme
    driver = driver or ("openclaw" if scheme in _WEBSOCKET else "grpc")
    attended = not driver_named(driver).self_registering  # raises UnknownDriver: the nearest name
    if instance_id == driver:
        instance_id = _id_of(driver, endpoint)
    if attended != (scheme in _WEBSOCKET):
        wants = "ws://host:port or wss://host:port" if attended else "host:port"
        raise typer.BadParameter(f"{endpoint!r} is no endpoint of {driver}: it wants {wants}.")
    if token_env:
        if credentials:
            raise typer.BadParameter("Give --credentials or --token-env, not both.")
        credentials = f"env:{token_env}"
    config = InstanceConfig(
        instance_id=_checked_id(instance_id),
        endpoint=endpoint,
        driver=driver,
        capacity=capacity or (8 if attended else 1),
        region=_checked_name(region, "--region"),
        pool=_checked_name(pool, "--pool"),
        capabilities=pairs_of(capability or [], option="--capability"),
        credentials=_checked_reference(credentials),
    )
    with opened() as runtime:
        _refuse_taken(runtime, instance_id, replace=replace)
        if attended:
            _refuse_shared(runtime, config)
        if device:
            config = _with_device(config, runtime.settings.data_dir, attended=attended)
        lease_ms = 0 if attended else int(lease * 1000)
        register_instance(runtime, config, lease_ms=lease_ms)
        view = instance_named(runtime, instance_id)
    found = asyncio.run(_look_at(config)) if attended else ""
    how = (
        "Dispatchers attend it: it is up once one of them has reached it."
        if attended
        else f"Nobody attends it: it counts as alive for {span(lease * 1000)}, unless it sends "
        "heartbeats of its own. Add it again with --replace to go on after that."
    )
    data = as_data(view) | ({"found": found} if attended else {})
    answer(as_json, data, f"Added instance {instance_id} at {endpoint}.", found, how)


async def _look_at(config: InstanceConfig) -> str:
    """What a gateway says to us from here, in a sentence."""
    instance = driver_named(config.driver).instance(config)
    try:
        health = await instance.health_check()
    finally:
        await instance.aclose()
    if health.status == "unhealthy":
        return f"From here it cannot be used: {health.error}."
    return f"It answers in {health.latency_ms:.0f} ms and says that it is {health.status.value}."


def _with_device(config: InstanceConfig, data_dir: Path, *, attended: bool) -> InstanceConfig:
    """The same with credentials in a file, where a new device key stands beside the token."""
    from godel_tasks.instances.drivers.openclaw.credentials import resolve, write
    from godel_tasks.instances.drivers.openclaw.device import new_key

    if not attended:
        raise typer.BadParameter("Only OpenClaw gateways pair devices.", param_hint="--device")
    token = resolve(config.credentials).token
    path = data_dir.expanduser().absolute() / "credentials" / f"{config.instance_id}.json"
    write(path, token=token, device_key=new_key())
    return changed(config, credentials=f"file:{path}")


def _id_of(driver: str, endpoint: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{driver}-{endpoint.partition('://')[2] or endpoint}")


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is not an instance's id: use letters, digits, '.', '_' and '-', at most 100."
        )
    return text


def _checked_name(text: str, option: str) -> str:
    if text and not is_name(text):
        raise typer.BadParameter(
            f"{text!r} is not a name: use letters, digits and . _ - @, at most 64.",
            param_hint=option,
        )
    return text


def _checked_reference(text: str) -> str:
    kind, _, rest = text.partition(":")
    if text and (kind not in ("env", "file") or not rest):
        # Not shown again: it may be a secret that was given by mistake.
        raise typer.BadParameter(
            "Give a reference, env:NAME or file:PATH. A secret's value does not belong here.",
            param_hint="--credentials",
        )
    return text


def _refuse_taken(runtime: Runtime, instance_id: str, *, replace: bool) -> None:
    taken = {view.record.instance_id: view for view in all_instances(runtime)}.get(instance_id)
    if taken is not None and taken.status is not InstanceStatus.DEAD and not replace:
        raise InstanceError(
            f"an instance {instance_id} is registered already, at {taken.config.endpoint}",
            hint="choose another id, or give --replace; then what runs there counts as uncertain",
        )


def _refuse_shared(runtime: Runtime, config: InstanceConfig) -> None:
    """A gateway has one queue and one trust domain: it is one instance."""
    for view in all_instances(runtime):
        other = view.record.instance_id
        if view.config.endpoint == config.endpoint and other != config.instance_id:
            raise InstanceError(
                f"the gateway at {config.endpoint} is registered already, as {other}",
                hint=f"remove that one first: `godel instances remove {other}`",
            )
