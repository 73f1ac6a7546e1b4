"""Containers as instances, over a stub of the engine that knows its published description."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import (
    InstanceUnavailable,
    InvalidPool,
    SpawnFailed,
    UnknownInstance,
    Unsupported,
)
from godel_tasks.instances.providers import provider_named
from godel_tasks.instances.providers.docker import DockerProvider
from tests.providers.stubs.docker import DockerStub, Image

BARE = {"image": "agents:1"}
CONFIG = InstanceConfig("a-1", "a-1:7000", provider="docker")


@pytest.fixture
async def engine() -> AsyncIterator[DockerStub]:
    async with DockerStub() as stub:
        yield stub


@pytest.fixture
def provider(engine: DockerStub) -> DockerProvider:
    return DockerProvider(engine.url, settled_s=0.05)


def template(pool: str = "agents", driver: str = "grpc", **options: str) -> InstanceTemplate:
    return InstanceTemplate(pool, "docker", driver, options={**BARE, **options})


async def test_a_handler_becomes_a_container_with_all_that_the_template_says(
    provider: DockerProvider, engine: DockerStub
) -> None:
    # Given a template that says much
    wanted = InstanceTemplate(
        "agents",
        "docker",
        capacity=4,
        region="eu",
        capabilities={"gpu": "yes"},
        options={
            "image": "agents:1",
            "handler": "agents:work",
            "network": "fleet",
            "memory": "512m",
            "cpus": "1.5",
            "mounts": "models:/models:ro",
            "user": "1000",
            "stop_s": "65",
            "env:GREETING": "I am {instance_id} of {pool}",
        },
    )
    # When an instance is made of it
    await provider.spawn(wanted, "a-1")
    # Then the container serves the handler under that id and name
    body = engine.containers["godel-a-1"].body
    command = " ".join(body["Cmd"])
    assert command == (
        "godel instance --handler agents:work --id a-1 --provider docker --pool agents "
        "--capacity 4 --host 0.0.0.0 --port 7000 --advertise a-1 --drain-timeout 60 "
        "--region eu --capability gpu=yes"
    )
    assert body["NetworkingConfig"]["EndpointsConfig"]["fleet"]["Aliases"] == ["a-1"]
    assert body["Env"] == ["GREETING=I am a-1 of agents"]
    # And it may use so much, and is never restarted behind Godel's back
    host = body["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (512 * 1024**2, 1_500_000_000)
    assert host["Binds"] == ["models:/models:ro"]
    assert host["RestartPolicy"] == {"Name": "no"}
    assert (body["User"], body["StopTimeout"]) == ("1000", 65)


async def test_what_was_made_is_found_by_pool_by_another_process(
    provider: DockerProvider, engine: DockerStub
) -> None:
    # Given instances of two pools, and a container that is not Godel's
    await provider.spawn(template("agents"), "a-1")
    await provider.spawn(template("others"), "b-1")
    engine.add("godel-c-1", {"Image": "agents:1", "Labels": {}}).start()
    # When a provider that was started anew looks
    anew = DockerProvider(engine.url)
    # Then it finds them
    assert [one.instance_id for one in await anew.provided("agents")] == ["a-1"]
    everything = await anew.provided()
    assert {one.instance_id for one in everything} == {"a-1", "b-1"}
    assert all(one.running and one.detail.startswith("container ") for one in everything)
    # And it leaves alone what is not ours
    await anew.remove("c-1")
    assert "godel-c-1" in engine.containers
    with pytest.raises(SpawnFailed, match="taken by a container that Godel did not make"):
        await anew.spawn(template(), "c-1")


async def test_an_instance_that_does_not_register_is_described(
    provider: DockerProvider,
) -> None:
    # Given a template of gateways
    wanted = template(
        driver="openclaw", endpoint="ws://{instance_id}:18789", credentials="env:GW_TOKEN"
    )
    # When one is made
    await provider.spawn(wanted, "gw-1")
    # Then the provider says how it is to be registered, for ever
    (found,) = await provider.provided("agents")
    assert found.config == InstanceConfig(
        "gw-1",
        "ws://gw-1:18789",
        driver="openclaw",
        pool="agents",
        provider="docker",
        credentials="env:GW_TOKEN",
    )


async def test_a_second_spawn_of_the_same_id_changes_nothing(
    provider: DockerProvider, engine: DockerStub
) -> None:
    await provider.spawn(template(), "a-1")
    first = engine.containers["godel-a-1"]
    await provider.spawn(template(), "a-1")
    assert engine.containers["godel-a-1"] is first
    assert first.starts == 1


async def test_two_that_make_the_same_instance_make_one(
    provider: DockerProvider, engine: DockerStub
) -> None:
    await asyncio.gather(*(provider.spawn(template(), "a-1") for _ in range(5)))
    assert engine.asked.count("POST /containers/create") == 5
    assert len(engine.containers) == 1
    assert engine.containers["godel-a-1"].starts == 1


async def test_a_spawn_that_was_cut_off_is_finished(
    provider: DockerProvider, engine: DockerStub
) -> None:
    # Given a container that was made, and whose maker died before it started it
    labels = {"godel.instance": "a-1", "godel.pool": "agents", "godel.config": ""}
    engine.add("godel-a-1", {"Image": "agents:1", "Labels": labels})
    (half,) = await provider.provided()
    assert not half.running
    # When the id is spawned again
    await provider.spawn(template(), "a-1")
    # Then it runs
    (whole,) = await provider.provided()
    assert whole.running


FAILURES = {
    "it ends": (
        Image(says=("loading", "no licence"), ends_after_s=0.0, exit_code=3),
        r"exit code 3\):\n  loading\n  no licence",
    ),
    "too much memory": (
        Image(ends_after_s=0.0, exit_code=137, out_of_memory=True),
        r"more memory than the option memory allows.*\n  \(it said nothing\)",
    ),
    "it cannot start": (Image(start_error="exec: no such file"), "exec: no such file"),
    "it is unhealthy": (Image(says=("port taken",), health="unhealthy"), "unhealthy.*\n  port"),
    "it never gets healthy": (Image(health="starting"), "not healthy within 0.3 s"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_one_that_does_not_come_up_says_why_and_leaves_nothing(
    provider: DockerProvider, engine: DockerStub, failure: str
) -> None:
    engine.images["agents:1"], words = FAILURES[failure]
    with pytest.raises(SpawnFailed, match=words):
        await provider.spawn(template(health="true", ready_s="0.3"), "a-1")
    assert engine.containers == {}


async def test_a_spawn_that_is_cancelled_leaves_nothing(
    provider: DockerProvider, engine: DockerStub
) -> None:
    engine.images["agents:1"] = Image(health="starting")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await provider.spawn(template(health="true"), "a-1")
    assert engine.containers == {}


async def test_an_image_is_pulled_only_when_the_template_says_so(
    provider: DockerProvider, engine: DockerStub
) -> None:
    # Given an image that the engine does not have
    engine.registry["team/agents:2"] = Image()
    engine.registry["agents:1"] = Image(says=("newer",))
    # When nothing is said of pulling, the error says what to do
    with pytest.raises(SpawnFailed, match="docker pull team/agents:2"):
        await provider.spawn(template(image="team/agents:2"), "a-1")
    assert "POST /images/create" not in engine.asked
    # When it may be pulled if it is missing, it is, once
    for instance_id in ("a-1", "a-2"):
        await provider.spawn(template(image="team/agents:2", pull="missing"), instance_id)
    assert engine.asked.count("POST /images/create") == 1
    # And one that is always pulled is the newest
    await provider.spawn(template(pull="always"), "a-3")
    assert await provider.last_words("a-3") == "  newer"


async def test_stop_start_and_restart_keep_the_container(
    provider: DockerProvider, engine: DockerStub
) -> None:
    await provider.spawn(template(), "a-1")
    container = engine.containers["godel-a-1"]
    # When it is stopped, twice
    await provider.stop(CONFIG)
    await provider.stop(CONFIG)
    (found,) = await provider.provided()
    assert not found.running
    # And started, twice
    await provider.start(CONFIG)
    await provider.start(CONFIG)
    assert container.starts == 2
    # And restarted
    await provider.restart(CONFIG)
    assert container.starts == 3
    assert engine.containers == {"godel-a-1": container}


async def test_it_has_its_own_time_to_end_and_not_more(
    provider: DockerProvider, engine: DockerStub
) -> None:
    # Given an instance that takes long to end what it runs
    engine.images["agents:1"] = Image(stop_takes_s=3600)
    await provider.spawn(template(stop_s="1"), "a-1")
    await provider.spawn(template(stop_s="3600"), "a-2")
    first, second = engine.containers.values()
    # When it is removed, it has the time of its template
    began = time.monotonic()
    await provider.remove("a-1")
    assert time.monotonic() - began >= 0.9
    assert first.killed
    # Or as much as whoever removes it gives it
    async with asyncio.timeout(60):
        await provider.remove("a-2", grace_s=0)
    assert second.killed
    # And neither is there any more, whoever asks again
    await provider.remove("a-1")
    assert await provider.provided() == []


async def test_what_is_not_there_is_named(provider: DockerProvider) -> None:
    for act in (provider.start, provider.stop, provider.restart):
        with pytest.raises(UnknownInstance, match="no container of instance 'a-1'"):
            await act(CONFIG)


async def test_an_engine_that_is_not_there_is_named() -> None:
    nowhere = DockerProvider("tcp://127.0.0.1:1")
    with pytest.raises(InstanceUnavailable, match="DOCKER_HOST"):
        await nowhere.provided()
    with pytest.raises(InstanceUnavailable):
        await nowhere.spawn(template(), "a-1")


def test_a_wrong_template_is_refused_with_all_that_is_wrong() -> None:
    wrong = template(
        image="",
        memory="much",
        cpu="2",
        pull="perhaps",
        mounts="models",
        handler="agents:work",
        command="serve",
    )
    with pytest.raises(InvalidPool) as refused:
        DockerProvider().check(wrong)
    text = str(refused.value)
    for words in (
        "image: missing",
        "memory: expected a size such as 512m",
        "cpu: no option of this provider; did you mean 'cpus'?",
        "pull: expected one of never, missing, always",
        "mounts: expected SOURCE:/TARGET",
        "handler and command",
        "network: expected one that you made",
    ):
        assert words in text
    with pytest.raises(InvalidPool, match="endpoint: missing"):
        DockerProvider().check(template(driver="openclaw"))
    with pytest.raises(
        InvalidPool, match=r"driver: no driver is called 'gprc'.*did you mean 'grpc'"
    ):
        DockerProvider().check(template(driver="gprc"))


async def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiodocker", None)
    provider = provider_named("docker")
    provider.check(template())
    with pytest.raises(Unsupported, match=r"pip install 'godel-tasks\[docker\]'"):
        await provider.provided()
