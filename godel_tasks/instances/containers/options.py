"""What a template of provider `docker` says, and the container that it asks for."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.providers.described import (
    describe,
    driver_problems,
    filled,
    values_of,
)
from godel_tasks.instances.providers.options import Options

PROVIDER = "docker"
#: Labels of every container that Godel makes. The third holds an `InstanceConfig` as JSON where the
#: driver's instances do not register by themselves, else nothing.
INSTANCE, POOL, CONFIG = "godel.instance", "godel.pool", "godel.config"

#: Options beside `env:NAME`.
KNOWN = frozenset(
    {"image", "pull", "handler", "port", "command", "user", "network", "memory", "cpus", "mounts"}
    | {"health", "ready_s", "stop_s", "endpoint", "credentials"}
)
PULLS = ("never", "missing", "always")
#: An image that is there starts in a second; what is inside may take longer.
READY_S = 60.0
#: As the setting `drain_timeout_s`, and a little for the last completions to leave.
STOP_S = 35.0
#: Networks in which containers have no names.
NAMELESS = frozenset({"", "bridge", "default", "host", "none"})
#: A container's log is cut there, by the engine; two files of it are kept.
LOG_SIZE = "10m"
_SECOND_NS = 1_000_000_000
_BYTES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """A template's options, checked."""

    image: str
    pull: str
    handler: str
    port: int
    command: str
    user: str
    network: str
    memory_bytes: int
    nano_cpus: int
    mounts: tuple[str, ...]
    #: A shell command that the engine runs in the container to ask whether it is healthy.
    health: str
    ready_s: float
    stop_s: float
    endpoint: str
    credentials: str
    env: Mapping[str, str]


def read(template: InstanceTemplate) -> ContainerOptions:
    """Raises: InvalidPool with every problem there is."""
    options = Options(template, KNOWN)
    found = ContainerOptions(
        image=options.text("image", required=True),
        pull=options.text("pull", PULLS[0]),
        handler=options.text("handler"),
        port=int(options.number("port", 7000, least=1)),
        command=options.text("command"),
        user=options.text("user"),
        network=options.text("network"),
        memory_bytes=_memory(options),
        nano_cpus=int(options.number("cpus", 0) * _SECOND_NS),
        mounts=tuple(filter(None, options.text("mounts").split(","))),
        health=options.text("health"),
        ready_s=options.number("ready_s", READY_S, least=0.1),
        stop_s=options.number("stop_s", STOP_S),
        endpoint=options.text("endpoint"),
        credentials=options.text("credentials"),
        env=options.env(),
    )
    options.problems += _disagreements(template, found)
    options.done()
    return found


def _memory(options: Options) -> int:
    given = options.text("memory").lower()
    match = re.fullmatch(r"(\d+)([bkmg]?)", given or "0")
    if not match:
        options.problems.append(f"memory: expected a size such as 512m or 2g, got {given!r}")
        return 0
    return int(match[1]) * _BYTES[match[2]]


def _disagreements(template: InstanceTemplate, found: ContainerOptions) -> list[str]:
    wrong = driver_problems(template, found.endpoint)
    if found.pull not in PULLS:
        wrong.append(f"pull: expected one of {', '.join(PULLS)}, got {found.pull!r}")
    if found.port > 65_535:
        wrong.append(f"port: expected one up to 65535, got {found.port}")
    if found.handler and found.command:
        wrong.append("handler and command: give one of them; handler stands for a whole command")
    if found.handler and found.network in NAMELESS:
        wrong.append(
            "network: expected one that you made (docker network create), in which dispatchers "
            f"reach the instance by its name, got {found.network!r}"
        )
    if found.handler and template.driver != "grpc":
        wrong.append("handler: only instances of driver grpc serve one")
    for mount in found.mounts:
        if not re.fullmatch(r"[^:]+:/[^:]*(:[a-zA-Z,]+)?", mount):
            wrong.append(f"mounts: expected SOURCE:/TARGET or SOURCE:/TARGET:ro, got {mount!r}")
    return wrong


def container_name(instance_id: str) -> str:
    """The container of that instance."""
    return f"godel-{instance_id}"


def container(
    template: InstanceTemplate, options: ContainerOptions, instance_id: str
) -> dict[str, Any]:
    """The body of the engine's `ContainerCreate`."""
    values = values_of(template, instance_id)
    env = [f"{name}={filled(value, values)}" for name, value in sorted(options.env.items())]
    body: dict[str, Any] = {
        "Image": options.image,
        "Env": env,
        "Labels": {
            INSTANCE: instance_id,
            POOL: template.pool,
            CONFIG: describe(
                template,
                instance_id,
                provider=PROVIDER,
                endpoint=filled(options.endpoint, values),
                credentials=options.credentials,
            ),
        },
        "StopTimeout": round(options.stop_s),
        "HostConfig": _host(options),
    }
    command = _command(template, options, instance_id) or shlex.split(
        filled(options.command, values)
    )
    if command:
        body["Cmd"] = command
    if options.user:
        body["User"] = options.user
    if options.health:
        body["Healthcheck"] = {
            "Test": ["CMD-SHELL", options.health],
            "Interval": 5 * _SECOND_NS,
            "Timeout": 5 * _SECOND_NS,
            "Retries": 3,
            "StartPeriod": round(options.ready_s) * _SECOND_NS,
            "StartInterval": _SECOND_NS,
        }
    if options.network not in NAMELESS:
        endpoint = {"Aliases": [instance_id]}
        body["NetworkingConfig"] = {"EndpointsConfig": {options.network: endpoint}}
    return body


def _host(options: ContainerOptions) -> dict[str, Any]:
    # Godel itself decides what becomes of an instance that ended: the engine restarts nothing.
    host: dict[str, Any] = {
        "RestartPolicy": {"Name": "no"},
        "Init": True,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": LOG_SIZE, "max-file": "2"},
        },
    }
    if options.network:
        host["NetworkMode"] = options.network
    if options.memory_bytes:
        host["Memory"] = options.memory_bytes
    if options.nano_cpus:
        host["NanoCpus"] = options.nano_cpus
    if options.mounts:
        host["Binds"] = list(options.mounts)
    return host


def _command(template: InstanceTemplate, options: ContainerOptions, instance_id: str) -> list[str]:
    """`godel instance` for a handler; nothing without one."""
    if not options.handler:
        return []
    words = [
        *("godel", "instance", "--handler", options.handler, "--id", instance_id),
        *("--provider", PROVIDER, "--pool", template.pool, "--capacity", str(template.capacity)),
        *("--host", "0.0.0.0", "--port", str(options.port)),  # noqa: S104 - inside a container
        *("--advertise", instance_id, "--drain-timeout", f"{max(options.stop_s - 5, 0):g}"),
    ]
    if template.region:
        words += ["--region", template.region]
    for name, value in sorted(template.capabilities.items()):
        words += ["--capability", f"{name}={value}"]
    return words
