"""One supervised process: started, read, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import Process
from typing import Literal

from godel_tasks.embedded import Guard
from godel_tasks.supervisor.output import copy_lines
from godel_tasks.supervisor.spec import ProcessSpec, RestartDelays, Sink

#: Seconds that the output of a process may take to arrive after its end.
LAST_WORDS_S = 1.0


class Child:
    """Keeps the process of one `ProcessSpec` running, in a process group of its own.

    `start` and `stop` may be called in any order and any number of times.
    """

    def __init__(
        self, spec: ProcessSpec, *, guard: Guard, sink: Sink, delays: RestartDelays
    ) -> None:
        self.spec = spec
        self.restarts = 0
        self.last_exit: int | None = None
        self._guard = guard
        self._sink = sink
        self._delays = delays
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()

    def __repr__(self) -> str:
        pid = f" pid {self.pid}" if self.pid else ""
        return f"<Child {self.spec.name} {self.state}{pid}, {self.restarts} restarts>"

    @property
    def pid(self) -> int | None:
        """Of the running process; None between two runs."""
        return None if self._process is None else self._process.pid

    @property
    def state(self) -> Literal["running", "waiting", "ended"]:
        """`waiting` is between two runs; `ended` is not started, stopped, or over for good."""
        if self._process is not None:
            return "running"
        return "ended" if self._keeper is None or self._keeper.done() else "waiting"

    async def start(self) -> None:
        """Start the process; raises `OSError` if there is no such program."""
        if self._keeper is not None and not self._keeper.done():
            return
        self._stopping.clear()
        self._hurried.clear()
        process, output = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(process, output), name=self.spec.name)

    async def stop(self) -> None:
        """TERM, then KILL to the whole group; come back when nothing of it is left."""
        self._stopping.set()
        keeper = self._keeper
        if keeper is None:
            return
        self.signal(signal.SIGTERM)
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait(
            {keeper, hurried},
            timeout=self.spec.stop_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurried.cancel()
        if not keeper.done():
            self._say(f"did not stop in time ({self.spec.stop_timeout_s:g} s at most), is killed")
            self._kill_group()
        await keeper

    def hurry(self) -> None:
        """Cut a `stop` short: whoever still runs is killed."""
        self._hurried.set()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, if it runs (its children are its own affair)."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep(self, process: Process, output: int) -> None:
        while True:
            began = time.monotonic()
            await self._run(process, output)
            if self._stopping.is_set():
                return
            if not self.spec.restart:
                self._say(f"ended ({_described(self.last_exit)})")
                return
            delay_s = self._delays.after(time.monotonic() - began)
            again = await self._again(delay_s)
            if again is None:
                return
            process, output = again

    async def _run(self, process: Process, output: int) -> None:
        copying = asyncio.create_task(copy_lines(output, self._say))
        self.last_exit = await process.wait()
        self._kill_group()  # what it left behind must not hold its ports and locks
        self._guard.forget(process.pid)
        self._process = None
        await asyncio.wait({copying}, timeout=LAST_WORDS_S)
        copying.cancel()

    async def _again(self, delay_s: float) -> tuple[Process, int] | None:
        ended = f"ended ({_described(self.last_exit)})"
        while not self._stopping.is_set():
            self._say(f"{ended}, starts again in {delay_s:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
                return None
            self.restarts += 1
            try:
                return await self._spawn()
            except OSError as error:
                ended = f"could not be started ({error})"
                delay_s = self._delays.after(0.0)
        return None

    async def _spawn(self) -> tuple[Process, int]:
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                cwd=self.spec.cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.spec.env},
                start_new_session=True,  # Ctrl-C is for the supervisor, which knows the order
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self._guard.watch(process.pid)
        self._process = process
        return process, read_end

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        self._sink(self.spec.name, line)


def _described(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
