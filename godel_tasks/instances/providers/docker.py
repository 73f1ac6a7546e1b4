"""The `docker` provider: an instance is a container of one Docker engine.

A container is found by its name, `godel-<instance id>`, and known as ours by its labels.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import ProviderRefused, SpawnFailed, UnknownInstance
from godel_tasks.instances.containers import options as told
from godel_tasks.instances.containers.engine import NOT_FOUND, TAKEN, Engine, connected
from godel_tasks.instances.containers.options import ContainerOptions, container_name
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.described import described

POLL_S = 0.2
#: A container without a health check counts as started when it has run for so long.
SETTLED_S = 1.0


class DockerProvider(Provider):
    """Knows the containers of one engine: the one at `url`, else the one that Docker's own commands
    would talk to."""

    name = told.PROVIDER

    def __init__(self, url: str | None = None, *, settled_s: float = SETTLED_S) -> None:
        self._url = url
        self._settled_s = settled_s

    @property
    def place(self) -> str:
        """The engine's address; with this machine's name before it if it is a socket's."""
        where = self._url or os.environ.get("DOCKER_HOST", "")
        local = not where or where.startswith("unix:")
        return f"{socket.gethostname()}:{where or 'docker'}" if local else where

    def check(self, template: InstanceTemplate) -> None:
        told.read(template)

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        """As the contract has it; comes back when the container is healthy, or, without a health
        check, has run for a second."""
        options = told.read(template)
        name = container_name(instance_id)
        async with connected(self._url) as engine:
            found = await engine.look(name)
            made = found is None and await _create(engine, template, options, instance_id)
            if not made:
                found = found or await engine.look(name)
                if found is None or _labels(found).get(told.INSTANCE) != instance_id:
                    raise SpawnFailed(
                        f"the name {name!r} is taken by a container that Godel did not make",
                        hint="remove or rename that container",
                    )
            if _state(found).get("Running"):
                return
            # One that was made and never started is what a spawn left that was cut off.
            new = made or _state(found).get("Status") == "created"
            await self._bring_up(engine, options, instance_id, new=new)

    async def _bring_up(
        self, engine: Engine, options: ContainerOptions, instance_id: str, *, new: bool
    ) -> None:
        name = container_name(instance_id)
        try:
            try:
                await engine.start(name)
            except ProviderRefused as error:
                raise SpawnFailed(error.message, hint="correct the template of its pool") from error
            await self._until_up(engine, instance_id, options.ready_s)
        except BaseException:
            if new:
                await engine.remove(name)
            raise

    async def start(self, config: InstanceConfig) -> None:
        """Start its container, if it does not run; come back as `spawn` does.

        Raises:
            UnknownInstance: this engine has no such container.
            SpawnFailed: it did not come up; it stays as it is.
        """
        await self._act(config, "start")

    async def stop(self, config: InstanceConfig) -> None:
        """TERM, and KILL after the option `stop_s`. Raises UnknownInstance as `start`."""
        name = container_name(config.instance_id)
        async with connected(self._url) as engine:
            await _ours(engine, config.instance_id)
            await engine.stop(name, grace_s=None)

    async def restart(self, config: InstanceConfig) -> None:
        """As `stop`, then `start`; the same container. Raises as `start`."""
        await self._act(config, "restart")

    async def _act(self, config: InstanceConfig, act: str) -> None:
        name = container_name(config.instance_id)
        async with connected(self._url) as engine:
            await _ours(engine, config.instance_id)
            await (engine.start(name) if act == "start" else engine.restart(name))
            await self._until_up(engine, config.instance_id, told.READY_S)

    async def remove(self, instance_id: str, *, grace_s: float | None = None) -> None:
        name = container_name(instance_id)
        async with connected(self._url) as engine:
            found = await engine.look(name)
            if found is None or _labels(found).get(told.INSTANCE) != instance_id:
                return
            if _state(found).get("Running"):
                try:
                    await engine.stop(name, grace_s=grace_s)
                except ProviderRefused as error:
                    if error.status != NOT_FOUND:
                        raise
            await engine.remove(name)

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:
        labels = [told.INSTANCE, f"{told.POOL}={pool}" if pool else told.POOL]
        async with connected(self._url) as engine:
            found = await engine.list(labels)
        return [_provided(one) for one in found]

    async def last_words(self, instance_id: str) -> str:
        async with connected(self._url) as engine:
            return await engine.last_words(container_name(instance_id))

    async def _until_up(self, engine: Engine, instance_id: str, ready_s: float) -> None:
        name = container_name(instance_id)
        deadline = time.monotonic() + ready_s
        settled = time.monotonic() + self._settled_s
        while True:
            state = _state(await engine.look(name) or {})
            health = (state.get("Health") or {}).get("Status", "none")
            problem = _problem(state, health)
            if not problem:
                if health == "healthy" or (health == "none" and time.monotonic() >= settled):
                    return
                if time.monotonic() > deadline:
                    problem = f"was not healthy within {ready_s:g} s"
            if problem:
                words = await engine.last_words(name) or "  (it said nothing)"
                raise SpawnFailed(
                    f"the container of instance {instance_id!r} {problem}:\n{words}",
                    hint="correct what it says; if it only needs longer, raise the option ready_s",
                )
            await asyncio.sleep(POLL_S)


async def _create(
    engine: Engine, template: InstanceTemplate, options: ContainerOptions, instance_id: str
) -> bool:
    """Whether we made it; not if somebody else just did."""
    name, body = container_name(instance_id), told.container(template, options, instance_id)
    if options.pull == "always":
        await engine.pull(options.image)
    try:
        await engine.create(name, body)
    except ProviderRefused as error:
        if error.status == TAKEN:
            return False
        if error.status == NOT_FOUND and options.pull == "missing":
            await engine.pull(options.image)
            await engine.create(name, body)
            return True
        hint = "correct the template of its pool"
        if error.status == NOT_FOUND:
            hint = f"docker pull {options.image}, or set the option pull to missing"
        raise SpawnFailed(error.message, hint=hint) from error
    return True


async def _ours(engine: Engine, instance_id: str) -> None:
    found = await engine.look(container_name(instance_id))
    if found is None or _labels(found).get(told.INSTANCE) != instance_id:
        raise UnknownInstance(
            f"this Docker engine has no container of instance {instance_id!r}",
            hint="it is known only to the engine that it was made by",
        )


def _labels(found: dict[str, Any]) -> dict[str, str]:
    return found.get("Config", {}).get("Labels") or {}


def _state(found: dict[str, Any] | None) -> dict[str, Any]:
    return (found or {}).get("State") or {}


def _problem(state: dict[str, Any], health: str) -> str:
    """Why it will not come up any more; "" while it may."""
    if not state:
        return "is gone"
    if state.get("OOMKilled"):
        return "used more memory than the option memory allows, and was killed"
    if state.get("Status") in {"exited", "dead", "removing"}:
        return f"ended as it started (exit code {state.get('ExitCode')})"
    return "is unhealthy, its health check says" if health == "unhealthy" else ""


def _provided(found: dict[str, Any]) -> ProvidedInstance:
    labels = found["Labels"]
    return ProvidedInstance(
        instance_id=labels[told.INSTANCE],
        pool=labels[told.POOL],
        running=found["State"] == "running",
        detail=f"container {found['Id'][:12]}, {found['Status'] or found['State']}",
        config=described(labels.get(told.CONFIG, "")),
    )
