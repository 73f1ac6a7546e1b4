"""One blocking connection for one call at a time, which waits for a short answer awake.

`Redis.execute_command` takes a connection from a pool, wraps the call in retries and metrics and
gives it back; a connection of redis-py's then parses through three layers. A script needs none of
it. redis-py still opens the connection (address, TLS, password, database); on a plain socket the
bytes are then packed and parsed by hiredis directly.

A thread that sleeps while it waits is woken late: on a virtual machine 40 µs and more, as long as
the answer itself took. So the socket is asked again and again for up to `AWAKE_S` before the thread
goes to sleep, as adaptive locks do. It releases the interpreter's lock at each look. A server that
did not answer within that time is not waited for awake the next time (docs/decisions/0011).
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from godel_tasks.store.command import Argument

#: How long an answer is waited for awake.
AWAKE_S = 300e-6
_READ_BYTES = 65_536
#: With one processor the server could not run while the caller stays awake.
_SEVERAL_PROCESSORS = (os.cpu_count() or 1) > 1


def _error_of(text: str) -> Exception:
    """The driver's exception for an error reply."""
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]
    return error


class Wire:
    """An open connection. After any error but an error reply it is closed: whatever was asked, its
    answer must not be read as that of the next call.

    Raises:
        RedisError, OSError: no connection; from `call` also the server's error replies.
    """

    def __init__(self, client: redis.Redis) -> None:
        pool = client.connection_pool
        # Not one of the pool's: threads come and go, and it would count every one of them.
        # RESP2, in which the server never says anything that was not asked.
        options = {**pool.connection_kwargs, "protocol": 2}
        self._connection: Any = pool.connection_class(**options)
        self._connection.connect()
        # TLS, and fakeredis, have no plain socket: redis-py reads and writes for them.
        found = getattr(self._connection, "_sock", None)
        self._sock = found if type(found) is socket.socket else None
        if self._sock is None:
            return
        self._timeout_s = self._sock.gettimeout()
        self._sock.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._sock, select.POLLIN)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=_error_of)
        self._awake = _SEVERAL_PROCESSORS

    def call(self, parts: Sequence[Argument]) -> Any:
        """One command and its answer."""
        try:
            if self._sock is None:
                self._connection.send_command(*parts)
                return self._connection.read_response()
            packed = hiredis.pack_command(tuple(parts))  # type: ignore[arg-type]
            self._send(self._sock, packed)
            reply = self._receive(self._sock)
        except ResponseError:
            raise
        except BaseException:
            self.close()
            raise
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        """Close it, whatever became of it."""
        self._connection.disconnect()

    def _send(self, sock: socket.socket, data: bytes) -> None:
        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            sock.settimeout(self._timeout_s)
            sock.sendall(memoryview(data)[sent:])
            sock.setblocking(False)

    def _receive(self, sock: socket.socket) -> Any:
        reader = self._reader
        while True:
            self._wait()
            data = sock.recv(_READ_BYTES)
            if not data:
                raise RedisConnectionError("the server closed the connection")
            reader.feed(data)
            reply = reader.gets()
            # Scripts of Godel's never answer with a truth value: False is "not all of it yet".
            if reply is not False:
                return reply

    def _wait(self) -> None:
        poll = self._poller.poll
        if self._awake:
            end = time.perf_counter() + AWAKE_S
            while not poll(0):
                if time.perf_counter() > end:
                    break
            else:
                return
        begun = time.perf_counter()
        if not poll(None if self._timeout_s is None else self._timeout_s * 1000):
            raise RedisTimeoutError("no answer in time")
        self._awake = _SEVERAL_PROCESSORS and time.perf_counter() - begun < AWAKE_S


__all__ = ["AWAKE_S", "Wire"]
