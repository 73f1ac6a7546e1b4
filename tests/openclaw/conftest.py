"""A gateway's folder for each test, and the end of what a failed test leaves running."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from godel_tasks.openclaw import gateways
from tests.openclaw.site import Site, new_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = new_site(tmp_path / "data")
    yield made
    for process in made.processes():
        with contextlib.suppress(psutil.Error):
            process.kill()
    gateways.forget_locks(made.folder)
