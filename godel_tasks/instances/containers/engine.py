"""The Docker engine, as far as the provider needs it: aiodocker's calls, with our errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from godel_tasks.errors import InstanceUnavailable, ProviderRefused, Unsupported

if TYPE_CHECKING:
    import aiodocker

#: Of every request but those that wait for a container to end, or for an image.
REQUEST_S = 60.0
CONNECT_S = 5.0
#: What aiodocker calls an engine that cannot be reached.
_UNREACHABLE = 900
NOT_FOUND, TAKEN = 404, 409
#: Lines of a container's log that an error shows, and characters of each.
LAST_WORDS = 12
SHOWN = 300


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that is connected to.

    Everything raises InstanceUnavailable when the engine cannot be reached, and ProviderRefused
    when it would not do it.
    """

    docker: aiodocker.Docker

    async def look(self, name: str) -> dict[str, Any] | None:
        """`ContainerInspect`; None when there is no such container."""
        try:
            with _translated(f"look at container {name!r}"):
                return await self.docker.containers.container(name).show()
        except ProviderRefused as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def list(self, labels: list[str]) -> list[dict[str, Any]]:
        """Every container with these labels (`name` or `name=value`), running or not: its `Id`,
        `Labels`, `State` and `Status`."""
        filters = json.dumps({"label": labels})
        with _translated("list containers"):
            found = await self.docker.containers.list(all=True, filters=filters)
        keys = ("Id", "Labels", "State", "Status")
        return [{key: container[key] for key in keys} for container in found]

    async def create(self, name: str, body: dict[str, Any]) -> None:
        with _translated(f"make container {name!r} of image {body['Image']!r}"):
            await self.docker.containers.create(body, name=name)

    async def pull(self, image: str) -> None:
        with _translated(f"pull image {image!r}"):
            await self.docker.images.pull(image, timeout=None)

    async def start(self, name: str) -> None:
        with _translated(f"start container {name!r}"):
            await self.docker.containers.container(name).start()

    async def stop(self, name: str, *, grace_s: float | None) -> None:
        """TERM, and KILL after `grace_s`; None: after the container's own time for that."""
        with _translated(f"stop container {name!r}"):
            await self.docker.containers.container(name).stop(t=_whole(grace_s))

    async def restart(self, name: str) -> None:
        with _translated(f"restart container {name!r}"):
            await self.docker.containers.container(name).restart()

    async def remove(self, name: str) -> None:
        """At once, with its anonymous volumes; no error when it is not there, or on its way out."""
        try:
            with _translated(f"remove container {name!r}"):
                await self.docker.containers.container(name).delete(force=True, v=True)
        except ProviderRefused as error:
            if error.status not in {NOT_FOUND, TAKEN}:
                raise

    async def last_words(self, name: str) -> str:
        """The end of its log, indented; "" when there is none to be had."""
        try:
            with _translated(f"read the log of container {name!r}"):
                pieces = await self.docker.containers.container(name).log(
                    stdout=True, stderr=True, tail=LAST_WORDS
                )
        except (ProviderRefused, InstanceUnavailable):
            return ""
        lines = [line for line in "".join(pieces).splitlines() if line.strip()]
        return "\n".join(f"  {line[:SHOWN]}" for line in lines[-LAST_WORDS:])


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


@asynccontextmanager
async def connected(url: str | None = None) -> AsyncIterator[Engine]:
    """The engine at `url`; without one the one that Docker's own commands would talk to
    (`DOCKER_HOST`, the current context, the socket).

    Raises:
        Unsupported: aiodocker is not installed.
        InstanceUnavailable: there is no engine.
    """
    aiodocker = _library()
    timeout = aiohttp.ClientTimeout(total=REQUEST_S, connect=CONNECT_S)
    try:
        docker = aiodocker.Docker(url, timeout=timeout)
    # It asserts that it has found an engine.
    except (AssertionError, ValueError, aiodocker.DockerError) as error:
        raise InstanceUnavailable(
            "no Docker engine was found" + (f": {error}" if str(error) else ""), hint=_WHERE
        ) from error
    async with docker:
        yield Engine(docker)


_WHERE = "start Docker, or say where it is with DOCKER_HOST; may this user use its socket?"


def _library() -> Any:
    try:
        import aiodocker
    except ImportError as error:
        raise Unsupported(
            "the provider 'docker' needs the package aiodocker, which is not installed",
            hint="pip install 'godel-tasks[docker]'",
        ) from error
    return aiodocker


@contextmanager
def _translated(act: str) -> Iterator[None]:
    import aiodocker

    try:
        yield
    except aiodocker.DockerError as error:
        if error.status == _UNREACHABLE:
            raise InstanceUnavailable(f"cannot {act}: {error.message}", hint=_WHERE) from error
        raise ProviderRefused(
            f"Docker would not {act}: {error.message}", status=error.status
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise InstanceUnavailable(f"cannot {act}: {said}", hint=_WHERE) from error
