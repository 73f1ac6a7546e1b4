"""The `process` provider: gateways come up, end with all that is theirs, and nobody else's ends."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from godel_tasks.errors import GatewayFailed, UnknownInstance, Unsupported
from godel_tasks.instances.providers import provider_named
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import processes, template
from godel_tasks.openclaw.health import is_ready
from tests.helpers import wait_until, wait_until_async
from tests.openclaw.site import FAKE, Site


def test_it_is_found_by_its_name() -> None:
    assert isinstance(provider_named("process"), ProcessProvider)


async def test_it_comes_back_when_the_gateway_is_ready_and_starts_it_once(site: Site) -> None:
    # When a gateway is started
    await site.provider().start(site.config)
    # Then it is ready, and starting it again changes nothing
    assert await is_ready(site.spec.port)
    pid = site.main().pid
    await site.provider().start(site.config)
    assert site.main().pid == pid
    # And nobody else may read what it is told and says
    for path in (site.folder.config, site.folder.token, site.folder.console, site.folder.process):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.folder.path.stat().st_mode) == 0o700
    await site.provider().stop(site.config)


async def test_two_who_start_it_at_once_start_one(site: Site) -> None:
    await asyncio.gather(*(site.provider().start(site.config) for _ in range(3)))
    assert [process.pid for process in site.processes()] == [site.main().pid]
    await site.provider().stop(site.config)


def test_it_outlives_the_command_that_started_it(site: Site) -> None:
    # Given a gateway that another process started, which has ended
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.openclaw.site import Site; from godel_tasks.openclaw import gateways\n"
        f"data = Path({str(site.data_dir)!r}); site = Site(data, gateways.find(data, 'gw-1'))\n"
        "asyncio.run(site.provider().start(site.config))\n"
    )
    root = FAKE.parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)
    # Then it runs still, in a session of its own, and is stopped from here
    process = site.main()
    assert psutil.pid_exists(process.pid)
    asyncio.run(site.provider().stop(site.config))
    assert not processes.running(process)


async def test_stop_lets_it_finish_and_leaves_no_process_of_it(site: Site) -> None:
    # Given a gateway with a helper of its own session, and a turn that takes a while
    provider = site.provider("--helper", "--turn", "0.3")
    await provider.start(site.config)
    assert len(site.processes()) == 2
    # When it is stopped
    await provider.stop(site.config)
    # Then its turn was finished, and nothing runs; once more is no error
    assert (site.folder.path / "finished").exists()
    assert site.processes() == []
    assert not site.folder.process.exists()
    await provider.stop(site.config)


async def test_one_that_does_not_hear_is_killed_after_the_time_out(site: Site) -> None:
    provider = site.provider("--deaf", stop_s=0.2)
    await provider.start(site.config)
    await provider.stop(site.config)
    assert (site.folder.path / "told").exists()
    assert site.processes() == []


async def test_kill_cuts_short_a_stop_that_waits(site: Site) -> None:
    # Given a stop that waits for a turn without an end
    provider = site.provider("--turn", "600")
    await provider.start(site.config)
    stopping = asyncio.create_task(provider.stop(site.config))
    await wait_until_async((site.folder.path / "told").exists, description="it was told to stop")
    # When it is killed
    await provider.kill(site.config)
    # Then both come back, and nothing runs
    await stopping
    assert site.processes() == []


async def test_after_a_crash_it_is_started_again_on_its_port_without_the_helper_left(
    site: Site,
) -> None:
    # Given a gateway whose main process was killed, and whose helper was left
    provider = site.provider("--helper")
    await provider.start(site.config)
    first = site.main()
    before = {process.pid for process in site.processes()}
    first.send_signal(signal.SIGKILL)
    wait_until(lambda: not processes.running(first), description="it is gone")
    assert len(site.processes()) == 1
    # When it is started again
    await provider.start(site.config)
    # Then the same port answers, and of the first processes none is left
    assert await is_ready(site.spec.port)
    assert before.isdisjoint(process.pid for process in site.processes())
    # And restart makes another process on the same port
    second = site.main().pid
    await provider.restart(site.config)
    assert site.main().pid != second
    assert await is_ready(site.spec.port)
    await provider.stop(site.config)
    assert site.processes() == []


async def test_a_configuration_that_it_refuses_is_told_with_its_own_words(site: Site) -> None:
    with pytest.raises(GatewayFailed, match="refuses its configuration") as caught:
        await site.provider("--exit", "78").start(site.config)
    assert "gateway.port must be a number" in caught.value.message
    assert site.processes() == []
    assert not site.folder.process.exists()


async def test_one_that_is_not_ready_in_time_is_not_left_running(site: Site) -> None:
    with pytest.raises(GatewayFailed, match=r"not ready within 0\.5 s"):
        await site.provider("--never-ready", ready_s=0.5).start(site.config)
    assert site.processes() == []


async def test_a_start_that_is_given_up_leaves_nothing_running(site: Site) -> None:
    # Given a start that waits
    starting = asyncio.create_task(site.provider("--never-ready").start(site.config))
    await wait_until_async(site.folder.process.exists, description="it was spawned")
    # When it is given up, as Ctrl-C does
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    # Then nothing runs
    assert site.processes() == []


def test_a_stranger_who_was_given_the_pid_is_left_alone(site: Site) -> None:
    # Given a record of a gateway that is gone, whose pid somebody else has now
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        created_s = psutil.Process(stranger.pid).create_time() - 3600
        site.folder.process.write_text(json.dumps({"pid": stranger.pid, "created_s": created_s}))
        # When the gateway is stopped and killed
        asyncio.run(site.provider().stop(site.config))
        asyncio.run(site.provider().kill(site.config))
        # Then the stranger still runs
        assert stranger.poll() is None
        stranger.kill()


async def test_a_gateway_whose_record_was_lost_is_stopped_all_the_same(site: Site) -> None:
    await site.provider().start(site.config)
    site.folder.process.unlink()
    await site.provider().stop(site.config)
    assert (site.folder.path / "finished").exists()
    assert site.processes() == []


async def test_what_it_does_not_know_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(UnknownInstance, match="'gw-2'"):
        await site.provider().start(replace(site.config, instance_id="gw-2"))
    with pytest.raises(UnknownInstance):
        await ProcessProvider(tmp_path / "other").stop(site.config)
    with pytest.raises(UnknownInstance, match="'gw-1'"):
        await site.provider().start(replace(site.config, driver="grpc"))
    with pytest.raises(Unsupported, match="did you mean 'grpc'"):
        await site.provider().start(replace(site.config, driver="grcp"))


async def test_the_lock_files_that_it_keeps_in_tmp_go_with_it(site: Site) -> None:
    # Given a gateway that runs, with its databases' lock files where OpenClaw puts them
    await site.provider().start(site.config)
    place = Path(f"/tmp/openclaw-state-locks-{os.getuid()}")
    agents = site.folder.state / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
    mine, foreign = lock_names(site.folder.state / "state" / "openclaw.sqlite", agents), "ffffffff"
    touch(agents, *(place / f"state-handles.{tag}.lock.sqlite" for tag in (*mine, foreign)))
    # When it is stopped
    await site.provider().stop(site.config)
    # Then they are gone, and those of other gateways are not
    left = {path.name for path in template.lock_files(site.folder)}
    assert left == set()
    assert remove(place / f"state-handles.{foreign}.lock.sqlite")


def lock_names(*databases: Path) -> list[str]:
    return [hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8] for path in databases]


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch()


def remove(path: Path) -> bool:
    """Whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
