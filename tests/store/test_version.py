"""The server's version is looked at once, and an old one refused with what to do."""

from __future__ import annotations

import pytest

from godel_tasks.errors import StoreVersionError
from godel_tasks.store.executor import SyncExecutor, connect_sync
from godel_tasks.store.version import checked_version, server_version


def test_the_embedded_server_is_new_enough(redis_url: str) -> None:
    executor = SyncExecutor(connect_sync(redis_url))

    version = executor.run(server_version())

    assert int(version.split(".")[0]) >= 7
    executor.close()


@pytest.mark.parametrize("version", ["6.2.0", "6.2", "7.4.1", "8.0.0-rc1"])
def test_redis_from_6_2_on_will_do(version: str) -> None:
    assert checked_version({"redis_version": version}) == version


def test_valkeys_own_version_counts_and_not_the_one_that_it_pretends_to_be() -> None:
    assert checked_version({"redis_version": "7.2.4", "valkey_version": "9.1.2"}) == "9.1.2"


@pytest.mark.parametrize("version", ["6.0.20", "5.0.7", "0"])
def test_an_older_server_is_refused_with_what_to_do(version: str) -> None:
    with pytest.raises(StoreVersionError, match=f"version {version};") as refused:
        checked_version({"redis_version": version})
    assert refused.value.hint
    assert not refused.value.retryable
