"""The CLI against the session's server, emptied."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.played import PlayedDispatcher


@pytest.fixture
def attached(redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Settings of nothing but the server's URL, in a folder of its own."""
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GODEL_REDIS_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    return redis_url


@pytest.fixture
def played(attached: str) -> Iterator[PlayedDispatcher]:
    """A dispatcher in the test's hand."""
    dispatcher = PlayedDispatcher(attached)
    yield dispatcher
    dispatcher.close()
