"""The embedded server: a real Valkey or Redis process that belongs to this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from godel_tasks.embedded.binary import MINIMUM_VERSION, find_server_binary
from godel_tasks.embedded.config import Listen, choose_listen, config_text
from godel_tasks.embedded.guard import Guard
from godel_tasks.embedded.info import ServerInfo, remove_info, write_info
from godel_tasks.embedded.lock import DataFolderLock
from godel_tasks.embedded.urls import ServerUrls
from godel_tasks.errors import StoreUnavailable, StoreVersionError

#: Another process may take a free port between our look and the server's bind.
PORT_ATTEMPTS = 5
#: Seconds between two looks at a server that starts.
POLL_S = 0.005


class EmbeddedServer:
    """A server of this process, with its data in `data_dir`.

    `start` and `stop` may be called in any order and any number of times. The server ends with its
    owner, however that ends; what it had acknowledged a second before a `kill -9` is there again
    after the next `start`. `extra_args` are server options (`("--cluster-enabled", "yes")`).
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        transport: Literal["auto", "unix", "tcp"] = "auto",
        extra_args: Sequence[str] = (),
        start_timeout_s: float = 60.0,
        guard: Guard | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).expanduser().absolute()
        self._transport = transport
        self._extra_args = tuple(extra_args)
        self._start_timeout_s = start_timeout_s
        self._guard = guard or Guard()
        self._own_guard = guard is None
        self._log = self.data_dir / "server.log"
        self._lock = DataFolderLock(self.data_dir / "server.lock")
        self._busy = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._info: ServerInfo | None = None
        self._listen: Listen | None = None

    def __repr__(self) -> str:
        state = f"pid {self._info.pid}" if self._info and self.alive() else "not running"
        return f"<EmbeddedServer {self.data_dir} {state}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def info(self) -> ServerInfo:
        """The running server; `StoreUnavailable` before `start` and after `stop`."""
        if self._info is None:
            raise StoreUnavailable(
                f"the embedded server of {self.data_dir} is not running", hint="call start()"
            )
        return self._info

    @property
    def urls(self) -> ServerUrls:
        """The running server's URLs, one for each library."""
        return ServerUrls.from_one(self.info.url)

    @property
    def url(self) -> str:
        """The running server's URL for redis-py."""
        return self.info.url

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> ServerInfo:
        """Start the server, or start it again if it died; come back when it answers.

        Raises `StoreUnavailable` (no server here, folder in use, did not come up in time) or
        `StoreVersionError`.
        """
        with self._busy:
            if self._info is not None and self.alive():
                return self._info
            self._clear()
            binary = find_server_binary()
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
            try:
                self._info = self._launch(binary)
            except BaseException:
                self._clear()
                raise
            write_info(self.data_dir, self._info)
            return self._info

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the server: TERM, which writes all it has to disk, and KILL after `timeout_s`."""
        with self._busy:
            process = self._process
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout_s)
                except subprocess.TimeoutExpired:
                    process.kill()
            self._clear()

    def _launch(self, binary: Path) -> ServerInfo:
        for attempt in range(PORT_ATTEMPTS):
            # A server that is brought back listens where its clients look for it.
            listen = self._listen or choose_listen(self.data_dir, self._transport)
            try:
                self._spawn(binary, listen)
                info = self._wait(listen)
            except _Ended as ended:
                self._reap()
                self._listen = None
                last_try = listen.transport == "unix" or attempt == PORT_ATTEMPTS - 1
                if last_try or "in use" not in ended.log:
                    raise StoreUnavailable(
                        f"the embedded server ended as it started: {ended.log or 'no word why'}",
                        hint=f"see {self._log}",
                        retryable=False,
                    ) from None
            else:
                self._listen = listen
                return info
        raise AssertionError("unreachable")

    def _spawn(self, binary: Path, listen: Listen) -> None:
        lock_fd = self._lock.fd
        with self._log.open("ab") as log:  # a wrong option is told on stderr, not in a log file
            self._process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.data_dir,
                pass_fds=() if lock_fd is None else (lock_fd,),
                start_new_session=True,  # a Ctrl-C at the terminal must not end it before its users
                umask=0o077,  # the data are of the tenants
            )
        self._guard.watch(self._process.pid, last=True)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                text = config_text(self.data_dir, listen, self._extra_args)
                self._process.stdin.write(os.fsencode(text))
                self._process.stdin.close()

    def _wait(self, listen: Listen) -> ServerInfo:
        deadline = time.monotonic() + self._start_timeout_s
        once = Retry(NoBackoff(), 0)  # this loop is the retry
        with redis.Redis.from_url(listen.url, retry=once, socket_timeout=1.0) as client:
            while True:
                process = self._process
                if process is None or process.poll() is not None:
                    raise _Ended(_tail(self._log))
                try:
                    client.ping()  # refused with LOADING while the data is being read
                    return _info(process.pid, listen, client.info("server"))
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise StoreUnavailable(
                            f"the embedded server did not answer in {self._start_timeout_s} s",
                            hint=f"see {self._log}",
                        ) from None
                    time.sleep(POLL_S)

    def _clear(self) -> None:
        pid = self._reap()
        if pid is not None:
            remove_info(self.data_dir, pid)
        self._info = None
        self._lock.release()
        if self._own_guard:
            self._guard.close()

    def _reap(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None:
            process.kill()
        process.wait()
        self._guard.forget(process.pid)
        return process.pid


class _Ended(Exception):
    """The server ended before it answered; `log` is its last words."""

    def __init__(self, log: str) -> None:
        super().__init__(log)
        self.log = log


def _info(pid: int, listen: Listen, answer: dict[str, object]) -> ServerInfo:
    version = str(answer["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise StoreVersionError(f"the server is Redis {version}", hint="6.2 or newer is needed")
    urls = ServerUrls.from_one(listen.url)
    return ServerInfo(
        pid=pid,
        owner_pid=os.getpid(),
        process_name=psutil.Process(pid).name(),
        flavour=str(answer.get("server_name", "redis")),
        version=str(answer.get("valkey_version", version)),
        transport=listen.transport,
        url=urls.state,
        broker_url=urls.broker,
        result_url=urls.result,
        redbeat_url=urls.redbeat,
    )


def _tail(log: Path, lines: int = 3) -> str:
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
