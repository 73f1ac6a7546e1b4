"""The embedded server: comes up fast, keeps its data, and never shares its folder."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from godel_tasks.embedded import EmbeddedServer, read_info
from godel_tasks.errors import StoreUnavailable
from tests.helpers import wait_until


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_a_server_starts_in_well_under_a_second_with_the_promised_settings(tmp_path: Path) -> None:
    # Given a fresh folder that nobody made yet
    embedded = EmbeddedServer(tmp_path / "data")
    # When the server is started
    began = time.monotonic()
    embedded.start()
    # Then it answers at once, on a socket that only we may use, and keeps what it is told
    assert time.monotonic() - began < 1.0
    with embedded, client(embedded) as connection:
        names = ("appendonly", "appendfsync", "maxmemory-policy", "save", "port")
        assert connection.config_get(*names) == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "port": "0",
        }
        assert stat.S_IMODE((tmp_path / "data" / "redis.sock").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "data" / "server.json").stat().st_mode) == 0o600


def test_start_and_stop_may_be_called_in_any_order_and_again(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path)
    # Given a server that was never started, stop does nothing
    embedded.stop()
    # When started twice, it is the same server
    first = embedded.start()
    assert embedded.start() == first
    # Then stopping ends that process, takes server.json away, and may be repeated
    embedded.stop()
    embedded.stop()
    assert not psutil.pid_exists(first.pid)
    assert read_info(tmp_path) is None
    with pytest.raises(StoreUnavailable, match="not running"):
        _ = embedded.url
    # And it can be started once more
    assert embedded.start().pid != first.pid
    embedded.stop()


def test_kill_9_of_the_server_loses_nothing_older_than_a_second(tmp_path: Path) -> None:
    # Given a server whose append-only file has reached the disk
    with EmbeddedServer(tmp_path) as embedded:
        with client(embedded) as connection:
            for n in range(1000):
                connection.rpush("lane", n)
            assert connection.execute_command("WAITAOF", 1, 0, 5000)[0] == 1
        # When it is killed
        os.kill(embedded.info.pid, signal.SIGKILL)
        wait_until(lambda: not embedded.alive(), description="the server is dead")
        # Then what it left behind is known to be stale
        left = read_info(tmp_path)
        assert left is not None
        assert not left.alive()
        # And the next start has all the data
        embedded.start()
        with client(embedded) as connection:
            assert connection.llen("lane") == 1000


def test_a_server_that_is_brought_back_is_where_its_clients_look_for_it(tmp_path: Path) -> None:
    # Given a server on a random port with a random password
    with EmbeddedServer(tmp_path, transport="tcp") as embedded:
        url = embedded.url
        # When it was killed and is started again
        os.kill(embedded.info.pid, signal.SIGKILL)
        wait_until(lambda: not embedded.alive(), description="the server is dead")
        embedded.start()
        # Then those who knew it reach it
        assert embedded.url == url


def test_two_folders_do_not_collide(tmp_path: Path) -> None:
    with (
        EmbeddedServer(tmp_path / "a") as one,
        EmbeddedServer(tmp_path / "b") as two,
        client(one) as first,
        client(two) as second,
    ):
        first.set("key", "one")
        assert second.get("key") is None


def test_a_second_start_on_a_folder_says_who_holds_it(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as embedded:
        # When somebody else wants the folder
        with pytest.raises(StoreUnavailable, match=f"in use by process {os.getpid()}"):
            EmbeddedServer(tmp_path).start()
        # Then the first server is none the worse for it, and still found
        assert embedded.alive()
        assert read_info(tmp_path) == embedded.info
    # And once it is gone, the folder is free
    with EmbeddedServer(tmp_path) as embedded:
        assert embedded.alive()


def test_a_folder_stays_locked_while_a_server_lives_whose_owner_gave_it_up(tmp_path: Path) -> None:
    # Given an owner that let go of its own descriptor while the server runs
    with EmbeddedServer(tmp_path) as embedded:
        embedded._lock.release()
        # When another wants the folder, then the server itself still keeps it
        with pytest.raises(StoreUnavailable, match="in use"):
            EmbeddedServer(tmp_path).start()


@pytest.mark.parametrize("name", ["x" * 120, "with space", "per%cent", "a#b?c"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    # Given a folder whose socket path is too long for the kernel, or odd in a URL
    with EmbeddedServer(tmp_path / name) as embedded, client(embedded) as connection:
        # Then the server is reached all the same, over the loopback when it must be
        assert connection.set("key", "value")
        assert embedded.info.transport == ("tcp" if len(name) > 100 else "unix")


def test_over_tcp_a_password_is_asked_for(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, transport="tcp") as embedded, client(embedded) as connection:
        # Given the port but not the password
        port = connection.get_connection_kwargs()["port"]
        # Then nothing is told, and the password is on nobody's command line
        once = Retry(NoBackoff(), 0)
        with (
            redis.Redis(port=port, retry=once) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        password = connection.get_connection_kwargs()["password"]
        assert password not in " ".join(psutil.Process(embedded.info.pid).cmdline())


def test_a_wrong_option_is_told_with_the_servers_own_words(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path, extra_args=("--maxmemory-policy", "never"))
    with pytest.raises(StoreUnavailable, match="maxmemory-policy"):
        embedded.start()
    # And nothing is left: the folder can be used at once
    with EmbeddedServer(tmp_path) as after:
        assert after.alive()
