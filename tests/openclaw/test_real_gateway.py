"""The real OpenClaw: installed, started, killed, started again and stopped.

Its installation is the user's (`godel openclaw install`), and is made when it is not there.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import install, processes, template
from godel_tasks.openclaw.health import is_ready
from tests.helpers import wait_until_async
from tests.openclaw.site import Site

pytestmark = [pytest.mark.openclaw, pytest.mark.timeout(900)]


def shared_logs() -> set[Path]:
    """Where gateways write that were not told where to."""
    return set(Path("/tmp/openclaw").glob("*"))


async def test_a_gateway_lives_dies_lives_again_and_leaves_nothing(site: Site) -> None:
    # Given the pinned OpenClaw
    found = install.install()
    assert found.version.startswith("OpenClaw 2026.9.6")
    provider = ProcessProvider(site.data_dir)
    others = shared_logs()
    # When a gateway is started
    await provider.start(site.config)
    # Then it is ready, with its helpers, and writes its log in its own folder
    first = site.main()
    assert len(site.processes()) >= 2
    assert "loading configuration" in site.folder.log.read_text()
    assert template.lock_files(site.folder)
    # When it is killed
    before = site.processes()
    first.send_signal(signal.SIGKILL)
    await wait_until_async(lambda: not processes.running(first), description="it is gone")
    # Then it starts again in the same folder, on the same port
    await provider.start(site.config)
    assert await is_ready(site.spec.port)
    assert not any(processes.running(process) for process in before)
    # And when it is stopped, no process and no file outside its folder is left
    after = site.processes()
    await provider.stop(site.config)
    assert [process for process in after if processes.running(process)] == []
    assert template.lock_files(site.folder) == []
    assert shared_logs() == others
