"""Start a gateway as a process of its own, and end it with all that belongs to it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from godel_tasks.errors import GatewayFailed
from godel_tasks.openclaw import processes, template
from godel_tasks.openclaw.flock import locked_async
from godel_tasks.openclaw.folder import Folder, write_private
from godel_tasks.openclaw.gateways import forget_locks
from godel_tasks.openclaw.health import is_ready
from godel_tasks.openclaw.install import needed
from godel_tasks.openclaw.logs import last_words
from godel_tasks.openclaw.template import Spec

KILL_TIMEOUT_S = 10.0
POLL_S = 0.1
#: As OpenClaw documents it.
EXIT_BAD_CONFIG = 78
#: Above this a start begins `console.log` anew.
CONSOLE_BYTES = 5_000_000

Command = Callable[[Spec], Sequence[str]]


def gateway_command(spec: Spec) -> list[str]:
    """What is run: the pinned OpenClaw.

    Raises:
        InstallFailed: it is not installed.
    """
    found = needed()
    return [str(found.node), str(found.entry), "gateway", "--port", str(spec.port)]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    #: It takes 7 to 14 s on two idle cores, and longer where several start at once.
    ready_s: float = 90.0
    #: Its own bound on the turns that it waits for is 315 s, then it closes in at most 15 s.
    stop_s: float = 330.0
    #: Helpers end with the main process; those that do not are ended.
    helpers_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway's process. Everything here is idempotent, and safe from several processes."""

    spec: Spec
    folder: Folder
    command: Command = gateway_command
    patience: Patience = Patience()

    def pid(self) -> int | None:
        """Its main process, if that runs."""
        process = processes.main_process(self.folder)
        return process.pid if process else None

    async def start(self) -> bool:
        """Come back when it is ready; False if it was already.

        Raises:
            GatewayFailed: it ended or did not become ready; then nothing of it is left running.
            InstallFailed: OpenClaw is not installed here.
        """
        async with locked_async(self.folder.lock):
            if self.pid() is not None:
                await self._until_ready(None)
                return False
            await self._end_rest()
            child = _spawn(self.spec, self.folder, self.command(self.spec))
            try:
                processes.record(self.folder, child.pid)
                await self._until_ready(child)
            except BaseException:
                await self._kill()
                raise
            return True

    async def stop(self) -> bool:
        """TERM, on which it finishes the turns that it runs; KILL after `patience.stop_s`. False
        if it did not run."""
        async with locked_async(self.folder.lock):
            main = processes.main_process(self.folder)
            ran = [main] if main else processes.every_process(self.folder)
            processes.send(ran, signal.SIGTERM)
            await processes.gone(ran, self.patience.stop_s)
            await self._kill()
            return bool(ran)

    async def kill(self) -> bool:
        """End it at once: what it ran is lost, and taken up again by itself after its next start.
        False if it did not run."""
        main = processes.main_process(self.folder)
        if main is not None:  # not after a `stop` that waits, but in its place
            processes.send([main], signal.SIGKILL)
        async with locked_async(self.folder.lock):
            await self._kill()
        return main is not None

    async def _until_ready(self, child: subprocess.Popen[bytes] | None) -> None:
        deadline = time.monotonic() + self.patience.ready_s
        while not await is_ready(self.spec.port):
            if child is not None and child.poll() is not None:
                raise self._failed(*_ended(child.returncode))
            if child is None and self.pid() is None:
                raise self._failed("ended while it was waited for", "start it again")
            if time.monotonic() > deadline:
                raise self._failed(
                    f"was not ready within {self.patience.ready_s:g} s",
                    f"see {self.folder.log}; on a busy machine start fewer at once",
                )
            await asyncio.sleep(POLL_S)
        if child is not None and child.poll() is not None:
            raise self._failed("ended, and another server answers on its port", "free that port")

    async def _kill(self) -> None:
        main = processes.main_process(self.folder)
        if main is not None:
            processes.send([main], signal.SIGKILL)
            await processes.gone([main], KILL_TIMEOUT_S)
        await self._end_rest()
        processes.forget(self.folder)
        forget_locks(self.folder)

    async def _end_rest(self) -> None:
        rest = processes.every_process(self.folder)
        left = await processes.gone(rest, self.patience.helpers_s)
        processes.send(left, signal.SIGKILL)
        left = await processes.gone(left, KILL_TIMEOUT_S)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise self._failed(f"has processes that do not end: {pids}", "end them by hand")

    def _failed(self, what: str, hint: str) -> GatewayFailed:
        words = last_words(self.folder)
        return GatewayFailed(f"gateway {self.spec.instance_id!r} {what}:\n{words}", hint=hint)


def _spawn(spec: Spec, folder: Folder, command: Sequence[str]) -> subprocess.Popen[bytes]:
    folder.make()
    write_private(folder.config, template.config(spec, folder, folder.read_token()))
    env = template.environment(spec, folder, os.environ)
    if folder.console.exists() and folder.console.stat().st_size > CONSOLE_BYTES:
        folder.console.unlink()
    return processes.spawn(
        command, cwd=folder.workspace, env=env, output=folder.console, umask=0o077
    )


def _ended(code: int) -> tuple[str, str]:
    if code == EXIT_BAD_CONFIG:
        return "refuses its configuration (exit code 78)", "correct what it names"
    if code < 0:
        return f"was ended by signal {-code} as it started", "was the memory enough?"
    return f"ended as it started (exit code {code})", "correct what it says and start it again"
