"""A Docker engine without containers: what it says is as the description has it, and changes as an
engine's would. Images are names with a behaviour."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.providers.stubs.description import Violation
from tests.providers.stubs.server import Answer, Request, Stub, Verbs

#: Filters of `ContainerList`, from the words of the description.
FILTERS = frozenset(
    {"ancestor", "before", "expose", "exited", "health", "id", "isolation", "is-task", "label"}
    | {"name", "network", "publish", "since", "status", "volume"}
)


@dataclass
class Image:
    """What a container of it does once started."""

    says: tuple[str, ...] = ()
    #: It ends so many seconds after its start; None: when it is told to.
    ends_after_s: float | None = None
    exit_code: int = 0
    out_of_memory: bool = False
    #: Its start itself fails with this message.
    start_error: str = ""
    #: How a health check, where the container has one, comes out after `healthy_after_s`.
    health: str = "healthy"
    healthy_after_s: float = 0.05
    #: Seconds that it takes to end when it is asked to.
    stop_takes_s: float = 0.0


@dataclass
class Container:
    name: str
    body: dict[str, Any]
    image: Image
    identity: str = field(default_factory=lambda: uuid4().hex * 2)
    status: str = "created"
    exit_code: int = 0
    oom: bool = False
    started_at: float = 0.0
    starts: int = 0
    killed: bool = False

    def settle(self) -> None:
        """What has become of it by now."""
        ends, ran_s = self.image.ends_after_s, time.monotonic() - self.started_at
        if self.status == "running" and ends is not None and ran_s >= ends:
            self.end(self.image.exit_code)
            self.oom = self.image.out_of_memory

    def start(self) -> None:
        self.status, self.started_at, self.starts = "running", time.monotonic(), self.starts + 1

    def end(self, code: int) -> None:
        self.status, self.exit_code = "exited", code

    def state(self) -> dict[str, Any]:
        running = self.status == "running"
        found: dict[str, Any] = {
            "Status": self.status,
            "Running": running,
            "OOMKilled": self.oom,
            "ExitCode": self.exit_code,
        }
        if "Healthcheck" in self.body:
            over = time.monotonic() - self.started_at >= self.image.healthy_after_s
            found["Health"] = {"Status": self.image.health if running and over else "starting"}
        return found


class DockerStub(Stub):
    """`images` are those that the engine has; `registry` those that it could pull."""

    def __init__(self) -> None:
        super().__init__("docker")
        self.images: dict[str, Image] = {"agents:1": Image(says=("serving",))}
        self.registry: dict[str, Image] = {}
        self.networks = {"bridge", "host", "none", "fleet"}
        self.containers: dict[str, Container] = {}
        #: Called before a container is made: somebody else may be faster.
        self.before_create: Callable[[], None] = lambda: None

    def refusal(self, status: int, message: str) -> Answer:
        return Answer(status, {"message": message})

    def verbs(self) -> Verbs:
        one = "/containers/{id}"
        return {
            "GET /version": self._version,
            "POST /images/create": self._pull,
            "GET /containers/json": self._list,
            "POST /containers/create": self._create,
            f"DELETE {one}": self._delete,
            f"GET {one}/json": self._inspect,
            f"GET {one}/logs": self._logs,
            f"POST {one}/start": self._start,
            f"POST {one}/stop": self._stop,
            f"POST {one}/restart": self._restart,
        }

    def find(self, name: str) -> Container | None:
        found = self.containers.get(name)
        if found:
            found.settle()
        return found

    def add(self, name: str, body: dict[str, Any]) -> Container:
        container = Container(name, body, self.images[body["Image"]])
        self.containers[name] = container
        return container

    async def _version(self, _: Request) -> Answer:
        return Answer(200, {"ApiVersion": self.description.data["info"]["version"]})

    async def _pull(self, request: Request) -> Answer:
        image = f"{request.query['fromImage']}:{request.query.get('tag', '')}".rstrip(":")
        if image not in self.registry:
            return self.refusal(404, f"pull access denied for {image}")
        self.images[image] = self.registry[image]
        return Answer(200, json.dumps({"status": "Download complete"}).encode() + b"\n")

    async def _list(self, request: Request) -> Answer:
        filters = json.loads(request.query.get("filters", "{}"))
        if unknown := filters.keys() - FILTERS:
            raise Violation(f"unknown filters: {sorted(unknown)}")
        found = []
        for container in self.containers.values():
            container.settle()
            labels = container.body.get("Labels", {})
            shown = request.query.get("all") or container.status == "running"
            if shown and all(_labelled(labels, wanted) for wanted in filters.get("label", [])):
                found.append(
                    {
                        "Id": container.identity,
                        "Names": [f"/{container.name}"],
                        "Image": container.body["Image"],
                        "Labels": labels,
                        "State": container.status,
                        "Status": {"running": "Up 2 seconds"}.get(container.status, ""),
                    }
                )
        return Answer(200, found)

    async def _create(self, request: Request) -> Answer:
        self.before_create()
        name, body = request.query["name"], request.body
        if body["Image"] not in self.images:
            return self.refusal(404, f"No such image: {body['Image']}")
        if name in self.containers:
            return self.refusal(409, f'Conflict. The container name "/{name}" is already in use')
        container = self.add(name, body)
        return Answer(201, {"Id": container.identity, "Warnings": []})

    async def _delete(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        if container.status == "running" and not request.query.get("force"):
            return self.refusal(409, "You cannot remove a running container")
        del self.containers[container.name]
        return Answer(204)

    async def _inspect(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        config = {
            key: value
            for key, value in container.body.items()
            if key not in {"HostConfig", "NetworkingConfig"}
        }
        return Answer(
            200,
            {
                "Id": container.identity,
                "Name": f"/{container.name}",
                "State": container.state(),
                "HostConfig": container.body.get("HostConfig", {}),
                "Config": {"Tty": False, **config},
            },
        )

    async def _logs(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        lines = container.image.says if container.starts else ()
        tail = request.query.get("tail", "all")
        kept = lines if tail == "all" else lines[-int(tail) :]
        frames = b"".join(
            struct.pack(">BxxxL", 2, len(line) + 1) + line.encode() + b"\n" for line in kept
        )
        return Answer(200, frames, "application/vnd.docker.multiplexed-stream")

    async def _start(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        if container.status == "running":
            return Answer(304)
        mode = container.body.get("HostConfig", {}).get("NetworkMode", "bridge")
        if mode not in self.networks:
            return self.refusal(404, f"network {mode} not found")
        if container.image.start_error:
            return self.refusal(500, container.image.start_error)
        container.start()
        return Answer(204)

    async def _stop(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        if container.status != "running":
            return Answer(304)
        await self._end(container, request.query.get("t"))
        return Answer(204)

    async def _restart(self, request: Request) -> Answer:
        container = self.find(request.values["id"])
        if container is None:
            return self._none(request)
        if container.status == "running":
            await self._end(container, request.query.get("t"))
        container.start()
        return Answer(204)

    async def _end(self, container: Container, grace_s: int | None) -> None:
        patience = container.body.get("StopTimeout", 10) if grace_s is None else grace_s
        takes = container.image.stop_takes_s
        container.killed = takes > patience
        await asyncio.sleep(min(takes, patience))
        container.end(137 if container.killed else 0)

    def _none(self, request: Request) -> Answer:
        return self.refusal(404, f"No such container: {request.values['id']}")


def _labelled(labels: dict[str, str], wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
