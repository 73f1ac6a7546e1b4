"""`godel instance`, as a process of its own, against a real registry."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.instance import InstanceConfig, InstanceRecord
from godel_tasks.instances.drivers.grpc import GrpcDriver
from godel_tasks.instances.instance import Connection
from godel_tasks.store.executor import SyncExecutor, connect_sync
from godel_tasks.store.registry import RegistryCommands, record_of
from tests.helpers import wait_until_async
from tests.instances.sites import Listener

HANDLER = """
import os, time

def work(payload):
    if payload == "die":
        os._exit(9)
    time.sleep(payload)
    return payload

async def quick(payload):
    return payload
"""

COMMAND = [
    sys.executable,
    "-c",
    "import typer; from godel_tasks.cli.instance import instance; typer.run(instance)",
]


@contextmanager
def started(folder: Path, url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running in a folder with a handler."""
    (folder / "agents.py").write_text(HANDLER)
    process = subprocess.Popen(
        [*COMMAND, *options],
        cwd=folder,
        env={**os.environ, "GODEL_REDIS_URL": url, "GODEL_HEARTBEAT_EVERY_MS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def endpoint_of(process: subprocess.Popen[str]) -> str:
    """Where it says that it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if " listens on " not in line:
        raise AssertionError(process.communicate()[1])
    return line.split(" listens on ")[1].split(",")[0]


@asynccontextmanager
async def connected(endpoint: str) -> AsyncIterator[tuple[Connection, Listener]]:
    listener = Listener()
    connection = GrpcDriver().open_connection(InstanceConfig("a-1", endpoint), listener)
    await connection.start()
    try:
        await wait_until_async(lambda: connection.connected, description="connected")
        yield connection, listener
    finally:
        await connection.stop()


def registered(url: str) -> dict[str, InstanceRecord]:
    """What the registry holds, by id."""
    registry = RegistryCommands()
    with connect_sync(url) as client:
        store = SyncExecutor(client)
        found = {}
        for name, until in store.run(registry.fleet()).leases.items():
            fields = store.run(registry.fields(instance_id=name))
            found[name] = record_of(name, fields, until)
        return found


def deliver(
    connection: Connection, url: str, task_id: str, payload: object, instance_id: str = "a"
) -> None:
    body = json.dumps(payload).encode()
    generation = registered(url)[instance_id].generation
    connection.deliver([Delivery(task_id, 1, instance_id, generation, "acme", body)])


def test_with_json_the_line_that_it_prints_is_an_object(tmp_path: Path, redis_url: str) -> None:
    options = ["--handler", "agents:work", "--id", "a", "--count", "2", "--json"]
    with started(tmp_path, redis_url, *options) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
    assert told["instances"] == ["a-1", "a-2"]
    assert told["endpoint"].startswith("127.0.0.1:")
    assert (told["handler"], told["capacity"]) == ("agents:work", 1)


async def test_the_command_serves_a_function_and_registers_it(
    tmp_path: Path, redis_url: str
) -> None:
    # Given the command for two instances with a journal
    journal = tmp_path / "logs" / "journal.jsonl"
    options = ["--handler", "agents:work", "--id", "w", "--count", "2", "--capacity", "3"]
    options += ["--region", "eu", "--capability", "gpu=a100", "--journal", str(journal)]
    with started(tmp_path, redis_url, *options) as process:
        endpoint = endpoint_of(process)
        # Then it stands after at most 3 seconds of work, and both are in the registry
        worked = psutil.Process(process.pid).cpu_times()
        assert worked.user + worked.system < 3
        configs = {name: record.config for name, record in registered(redis_url).items()}
        assert set(configs) == {"w-1", "w-2"}
        assert configs["w-1"].endpoint == configs["w-2"].endpoint == endpoint
        assert (configs["w-1"].region, configs["w-1"].capacity) == ("eu", 3)
        assert configs["w-1"].capabilities == {"gpu": "a100"}
        # And what is delivered runs, and is in the journal
        async with connected(endpoint) as (connection, listener):
            deliver(connection, redis_url, "t", 0.01, "w-2")
            assert (await listener.completion("t:1")).result == b"0.01"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(x["id"], x["attempt"], x["instance"], x["event"]) for x in lines] == [
        ("t", 1, "w-2", "start"),
        ("t", 1, "w-2", "end"),
    ]
    assert abs(lines[0]["at"] / 1000 - time.time()) < 60
    assert lines[1]["end"] == "ok"


async def test_term_finishes_what_runs_and_leaves_the_registry(
    tmp_path: Path, redis_url: str
) -> None:
    with started(tmp_path, redis_url, "--handler", "agents:work", "--id", "a") as process:
        async with connected(endpoint_of(process)) as (connection, listener):
            deliver(connection, redis_url, "t", 0.5)
            await running(connection, "t:1")
            # When it is told to end
            process.send_signal(signal.SIGTERM)
            # Then what runs is finished, and the process ends well
            assert (await listener.completion("t:1")).end is End.OK
            assert await ended(process) == 0
    assert registered(redis_url) == {}


async def test_a_second_term_quits_and_says_what_is_lost(tmp_path: Path, redis_url: str) -> None:
    with started(tmp_path, redis_url, "--handler", "agents:work", "--id", "a") as process:
        async with connected(endpoint_of(process)) as (connection, listener):
            deliver(connection, redis_url, "t", 60)
            await running(connection, "t:1")
            process.send_signal(signal.SIGTERM)
            deliver_until_draining = await refused(connection, listener, redis_url)
            assert deliver_until_draining.error_type == "Draining"
            process.send_signal(signal.SIGTERM)
            assert (await listener.completion("t:1")).end is End.LOST
            # A thread that still sleeps does not keep the process
            assert await ended(process) == 0


@pytest.mark.parametrize("how", ["kill", "os._exit"])
async def test_a_process_that_dies_is_noticed_at_once(
    tmp_path: Path, redis_url: str, how: str
) -> None:
    with started(tmp_path, redis_url, "--handler", "agents:work", "--id", "a") as process:
        async with connected(endpoint_of(process)) as (connection, listener):
            if how == "kill":
                process.kill()
            else:
                deliver(connection, redis_url, "t", "die")
            await wait_until_async(lambda: not connection.connected, description="noticed")
            assert listener.events == ["connected", "disconnected"]
            assert listener.completions == []


async def test_a_process_of_the_same_id_takes_over(tmp_path: Path, redis_url: str) -> None:
    # Given a process that was killed without a word
    with started(tmp_path, redis_url, "--handler", "agents:quick", "--id", "a") as process:
        endpoint_of(process)
    first = registered(redis_url)["a"].generation
    # When another one starts with its id
    with started(tmp_path, redis_url, "--handler", "agents:quick", "--id", "a") as process:
        async with connected(endpoint_of(process)) as (connection, listener):
            # Then it serves under a higher generation
            assert registered(redis_url)["a"].generation > first
            deliver(connection, redis_url, "t", 1)
            assert (await listener.completion("t:1")).end is End.OK


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--handler", "agents:wrk"], "did you mean 'work'"),
        (["--handler", "agents:work", "--capacity", "0"], "--capacity"),
        (["--handler", "agents:work", "--capability", "gpu"], "name=value"),
        (["--handler", "agents:work", "--id", "a/b"], "letters, digits"),
        ([], "--handler"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, redis_url: str, options: list[str], says: str
) -> None:
    with started(tmp_path, redis_url, *options) as process:
        _, text = process.communicate(timeout=20)
    assert process.returncode != 0
    assert says in " ".join(text.replace("│", " ").split())


async def running(connection: Connection, key: str) -> None:
    async with asyncio.timeout(5):
        while key not in await connection.inventory("a"):  # noqa: ASYNC110 - asked over the wire
            await asyncio.sleep(0.01)


async def refused(connection: Connection, listener: Listener, url: str) -> Completion:
    """Deliver until the answer is no longer "Full": the signal takes a moment to arrive."""
    for number in range(1000):
        deliver(connection, url, f"probe{number}", 0)
        completion = await listener.completion(f"probe{number}:1")
        if completion.error_type != "Full":
            return completion
    raise AssertionError("it never drained")


async def ended(process: subprocess.Popen[str]) -> int:
    await wait_until_async(lambda: process.poll() is not None, description="ended", timeout=10)
    return process.returncode
