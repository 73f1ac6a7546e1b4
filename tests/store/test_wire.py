"""The connection for single scripts, over a real server and through a proxy that misbehaves."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from godel_tasks.embedded import EmbeddedServer
from godel_tasks.store.executor import connect_sync
from godel_tasks.store.wire import AWAKE_S, Wire


@pytest.fixture
def wire(server: EmbeddedServer) -> Iterator[Wire]:
    wire = Wire(connect_sync(server.url))
    yield wire
    wire.close()


def test_it_reads_the_plain_socket_itself(wire: Wire) -> None:
    # Then redis-py still keeps its socket where it is looked for
    assert isinstance(wire._sock, socket.socket)


def test_answers_of_every_kind(wire: Wire) -> None:
    assert wire.call(("EVAL", "return {'a', 1, {2}, false}", 0)) == [b"a", 1, [2], None]
    assert wire.call(("EVAL", "return redis.status_reply('OK')", 0)) in (b"OK", "OK")


def test_a_large_body_goes_and_comes_whole(wire: Wire) -> None:
    body = bytes(range(256)) * 40_000
    assert wire.call(("EVAL", "return ARGV[1]", 0, body)) == body


def test_an_error_reply_is_the_drivers_and_leaves_it_usable(wire: Wire) -> None:
    with pytest.raises(NoScriptError):
        wire.call(("EVALSHA", "0" * 40, 0))
    assert wire.call(("PING",)) in (b"PONG", "PONG")


def test_a_slow_answer_is_slept_for_and_the_next_too(wire: Wire) -> None:
    # Given an answer that takes longer than one is waited for awake
    began = time.process_time()
    wire.call(("BLPOP", "nothing", "0.3"))

    # Then hardly any CPU went into the wait, and the next wait starts asleep
    assert time.process_time() - began < 0.1
    assert wire._awake is False

    # When answers come quickly again, they are waited for awake again, if that may help at all
    if os.cpu_count() == 1:
        return
    for _ in range(200):
        wire.call(("PING",))
        if wire._awake:
            return
    pytest.fail(f"no answer within {AWAKE_S} s in 200 calls")


def test_no_answer_in_time_closes_it(server: EmbeddedServer) -> None:
    wire = Wire(connect_sync(server.url, answer_timeout_s=0.2))
    with pytest.raises(RedisTimeoutError):
        wire.call(("BLPOP", "nothing", "1"))
    # Then the late answer is not read as that of the next call
    with pytest.raises((RedisConnectionError, OSError, ValueError)):
        wire.call(("PING",))


def test_a_server_that_goes_away_is_an_error_not_a_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                while data := peer.recv(65_536):
                    if b"GONE" in data:
                        return
                    # One answer for each command that redis-py says hello with.
                    peer.sendall(b"+OK\r\n" * data.count(b"*"))

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        client = redis.Redis(port=port, protocol=2, socket_timeout=5, driver_info=None)
        wire = Wire(client)
        with pytest.raises((RedisConnectionError, OSError)):
            wire.call(("GONE",))
        thread.join(5)
