"""`godel openclaw stop`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, counted, notes
from godel_tasks.cli.session import opened
from godel_tasks.errors import StoreError
from godel_tasks.settings import load_settings

if TYPE_CHECKING:
    from godel_tasks.openclaw.template import Spec
    from godel_tasks.runtime import Runtime


def stop(
    instance_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of this data folder.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete their folders, too: sessions, workspace, log.")
    ] = False,
    kill: Annotated[
        bool, typer.Option("--kill", help="At once: what they run counts as uncertain.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Then what still runs is killed.")
    ] = 330.0,
    as_json: AsJson = False,
) -> None:
    """Stop gateways: give them nothing new, let them finish their turns, deregister them.

    A gateway waits for its turns up to 315 seconds by itself. Stopping a stopped one is no error.
    """
    from godel_tasks.openclaw import gateways

    if bool(instance_ids) == all_:
        raise typer.BadParameter("Say which: their ids, or --all.")
    data_dir = load_settings().data_dir
    specs = (
        gateways.all_gateways(data_dir)
        if all_
        else [gateways.find(data_dir, each) for each in dict.fromkeys(instance_ids or ())]
    )
    with ExitStack() as stack:
        runtime = _runtime(stack)
        ran = asyncio.run(_stop_all(data_dir, specs, runtime, 0.0 if kill else timeout))
    if remove:
        for spec in specs:
            gateways.remove(data_dir, spec.instance_id)
    stopped = [spec.instance_id for spec, did in zip(specs, ran, strict=True) if did]
    answer(
        as_json,
        {
            "stopped": stopped,
            "not_running": [s.instance_id for s in specs if s.instance_id not in stopped],
            "removed": [spec.instance_id for spec in specs] if remove else [],
            "deregistered": runtime is not None,
        },
        f"Stopped {counted(len(stopped), 'gateway')}"
        + (f", {len(specs) - len(stopped)} did not run" if len(stopped) < len(specs) else "")
        + (f"; removed {counted(len(specs), 'folder')}." if remove else "."),
    )


def _runtime(stack: ExitStack) -> Runtime | None:
    try:
        runtime = stack.enter_context(opened())
        runtime.store  # noqa: B018  (connects)
    except StoreError as error:
        notes().print(f"Not taken out of the registry: {error.message}.", markup=False)
        notes().print("Where they were registered, remove them with `godel instances remove ID`.")
        return None
    return runtime


async def _stop_all(
    data_dir: Path, specs: Sequence[Spec], runtime: Runtime | None, timeout_s: float
) -> list[bool]:
    return list(
        await asyncio.gather(*(_stop(data_dir, spec, runtime, timeout_s) for spec in specs))
    )


async def _stop(data_dir: Path, spec: Spec, runtime: Runtime | None, timeout_s: float) -> bool:
    from godel_tasks.openclaw.folder import folder_of
    from godel_tasks.openclaw.registering import deregister_instance, drain_gateway
    from godel_tasks.openclaw.running import Gateway, Patience

    gateway = Gateway(
        spec, folder_of(data_dir, spec.instance_id), patience=Patience(stop_s=timeout_s)
    )
    known = runtime is not None and await asyncio.to_thread(
        drain_gateway, runtime, spec.instance_id
    )
    ran = await gateway.stop() if timeout_s else await gateway.kill()
    if runtime is not None and known:
        await asyncio.to_thread(deregister_instance, runtime, spec.instance_id)
    return ran
