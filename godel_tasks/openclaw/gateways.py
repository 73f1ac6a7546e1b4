"""The gateways of one data folder: created with a port of their own, found, listed, removed."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from random import choice

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import GatewayFailed, UnknownInstance
from godel_tasks.openclaw.flock import locked
from godel_tasks.openclaw.folder import Folder, folder_of, root_of, write_private
from godel_tasks.openclaw.template import Model, Spec, lock_files

DRIVER = "openclaw"
PROVIDER = "process"
#: A gateway derives further ports from its own, up to port + 110.
PORT_STEP = 120
#: All below the ports that Linux gives to outgoing connections.
PORTS = range(20_000, 32_000, PORT_STEP)


def create(data_dir: Path, wanted: Spec) -> Spec:
    """Make the folder of a gateway that does not run, or change what it is to be at its next start.
    It keeps its port, unless somebody else listens there by now."""
    folder = folder_of(data_dir, wanted.instance_id)
    with locked(root_of(data_dir) / ".lock"):
        others = {spec.instance_id: spec for spec in all_gateways(data_dir)}
        known = others.pop(wanted.instance_id, None)
        if known is not None and not _listens(known.port):
            spec = replace(wanted, port=known.port)
        else:
            spec = replace(wanted, port=free_port({other.port for other in others.values()}))
        folder.make()
        folder.read_token()
        write_private(folder.spec, asdict(spec))
    return spec


def find(data_dir: Path, instance_id: str) -> Spec:
    """Raises: UnknownInstance when this data folder has no gateway of that id."""
    spec = _read(folder_of(data_dir, instance_id))
    if spec is None:
        raise UnknownInstance(
            f"no gateway {instance_id!r} is in {root_of(data_dir)}",
            hint="`godel openclaw ls` lists them; it is known only on the machine, and in the "
            "GODEL_DATA_DIR, that it was started with",
        )
    return spec


def all_gateways(data_dir: Path) -> list[Spec]:
    """Every gateway of this data folder, by id."""
    root = root_of(data_dir)
    found = [_read(Folder(path)) for path in sorted(root.iterdir())] if root.is_dir() else []
    return [spec for spec in found if spec is not None]


def remove(data_dir: Path, instance_id: str) -> None:
    """Delete all that a stopped gateway has written; idempotent."""
    folder = folder_of(data_dir, instance_id)
    forget_locks(folder)
    shutil.rmtree(folder.path, ignore_errors=True)


def forget_locks(folder: Folder) -> None:
    """Take away the lock files of a gateway that does not run."""
    for path in lock_files(folder):
        path.unlink(missing_ok=True)


def instance_config(data_dir: Path, spec: Spec) -> InstanceConfig:
    """The gateway as the registry knows it."""
    folder = folder_of(data_dir, spec.instance_id)
    return InstanceConfig(
        instance_id=spec.instance_id,
        endpoint=f"ws://127.0.0.1:{spec.port}",
        driver=DRIVER,
        provider=PROVIDER,
        capacity=spec.capacity,
        region=spec.region,
        pool=spec.pool,
        workspace_dir=str(folder.workspace),
        credentials=f"file:{folder.token}",
    )


def free_port(
    taken: Collection[int],
    *,
    ports: Collection[int] = PORTS,
    listens: Callable[[int], bool] | None = None,
) -> int:
    """A base port whose derived ones meet nobody's; at random, so that two data folders seldom
    choose the same one in the seconds before a gateway listens.

    Raises:
        GatewayFailed: none is left.
    """
    listens = listens or _listens
    free = [p for p in ports if all(abs(p - other) >= PORT_STEP for other in taken)]
    while free:
        port = choice(free)
        if not listens(port):
            return port
        free.remove(port)
    raise GatewayFailed(
        "no port is left for another gateway",
        hint="remove some that you need no more: `godel openclaw stop ID --remove`",
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _read(folder: Folder) -> Spec | None:
    try:
        stored = json.loads(folder.spec.read_bytes())
        return replace(Spec(**stored), model=Model(**stored["model"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
