"""Start a local instance as a process of its own, and end it with all that belongs to it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from godel_tasks.domain.instance import Health, InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import SpawnFailed, UnknownInstance
from godel_tasks.instances.local import options as told
from godel_tasks.instances.local.folder import LocalFolder, root_of
from godel_tasks.openclaw import processes
from godel_tasks.openclaw.flock import locked_async
from godel_tasks.openclaw.logs import tail

POLL_S = 0.05
KILL_TIMEOUT_S = 10.0
#: What is left over of a drain for the last completions to leave.
CLOSING_S = 5.0
#: Lines of its log that an error shows.
LAST_WORDS = 12
#: Characters of each.
SHOWN = 300


@dataclass(frozen=True, slots=True)
class LocalInstance:
    """One instance's process. Everything here is idempotent, and safe from several processes."""

    folder: LocalFolder
    data_dir: Path
    owner: str

    async def spawn(self, template: InstanceTemplate) -> None:
        """Make its folder and start it; come back when it is registered and healthy. One that is
        there already is started, if it does not run, as it was made before.

        Raises:
            InvalidPool: an option is wrong.
            SpawnFailed: it did not come up; nothing of it is left.
        """
        told.read(template)
        async with locked_async(self.folder.lock):
            known = self.folder.read_template()
            try:
                if known is None:
                    self.folder.make(template, self.owner)
                await self._start(known or template)
            except BaseException:
                if known is None:
                    self.folder.delete()
                raise

    async def start(self) -> None:
        """Start it again, if it does not run; come back as `spawn` does.

        Raises:
            UnknownInstance: there is no such folder.
            SpawnFailed: it did not come up; it is not left running.
        """
        template = self._template()
        async with locked_async(self.folder.lock):
            await self._start(template)

    async def stop(self, *, grace_s: float | None = None) -> None:
        """TERM, on which it finishes what it runs, and KILL when it has not ended `grace_s` seconds
        later (None: its own limit for that and a little more). Raises as `start`."""
        template = self._template()
        async with locked_async(self.folder.lock):
            await self._stop(_grace(template) if grace_s is None else grace_s)

    async def remove(self, *, grace_s: float | None = None) -> None:
        """As `stop`; then delete all that it was. Idempotent."""
        if not self.folder.path.exists() and not self.folder.lock.exists():
            return
        async with locked_async(self.folder.lock):
            template = self.folder.read_template()
            own = _grace(template) if template else 0.0
            await self._stop(own if grace_s is None else grace_s)
            self.folder.delete()

    def last_words(self) -> str:
        """The end of its log."""
        lines = [line for line in tail(self.folder.log, LAST_WORDS) if line.strip()]
        return "\n".join(f"  {line[:SHOWN]}" for line in lines)

    def _template(self) -> InstanceTemplate:
        template = self.folder.read_template()
        if template is None:
            raise UnknownInstance(
                f"no instance {self.folder.instance_id!r} is in {root_of(self.data_dir)}",
                hint="it is known only on the machine, and in the GODEL_DATA_DIR, that it was "
                "made in",
            )
        return template

    async def _start(self, template: InstanceTemplate) -> None:
        options = told.read(template)
        if processes.main_process(self.folder) is not None:
            await self._until_ready(None, options.ready_s)
            return
        await self._kill()
        self.folder.ready.unlink(missing_ok=True)
        self.folder.cut_log()
        child = self._spawn(template, options)
        try:
            processes.record(self.folder, child.pid)
            await self._until_ready(child, options.ready_s)
        except BaseException:
            await self._kill()
            raise

    def _spawn(
        self, template: InstanceTemplate, options: told.LocalOptions
    ) -> subprocess.Popen[bytes]:
        try:
            return processes.spawn(
                told.command(template, options, self.folder),
                cwd=Path(options.cwd or Path.cwd()),
                env=told.environment(options, self.folder, self.data_dir, os.environ),
                output=self.folder.log,
            )
        except OSError as error:
            raise SpawnFailed(
                f"instance {self.folder.instance_id!r} cannot be started: {error}",
                hint="look at the options cwd and python of its pool",
            ) from error

    async def _until_ready(self, child: subprocess.Popen[bytes] | None, ready_s: float) -> None:
        deadline = time.monotonic() + ready_s
        while not await self._is_ready():
            if child is not None and child.poll() is not None:
                raise self._failed(_ended(child.returncode))
            if child is None and processes.main_process(self.folder) is None:
                raise self._failed("ended while it was waited for")
            if time.monotonic() > deadline:
                raise self._failed(
                    f"was not ready within {ready_s:g} s",
                    "on a busy machine raise the option ready_s of its pool",
                )
            await asyncio.sleep(POLL_S)

    async def _is_ready(self) -> bool:
        from godel_tasks.instances.drivers import driver_named

        endpoint = self.folder.read_endpoint()
        if not endpoint:
            return False
        view = driver_named("grpc").instance(InstanceConfig(self.folder.instance_id, endpoint))
        try:
            return (await view.health_check()).status is not Health.UNHEALTHY
        finally:
            await view.aclose()

    async def _stop(self, grace_s: float) -> None:
        main = processes.main_process(self.folder)
        ran = [main] if main else processes.every_process(self.folder)
        if grace_s > 0:
            processes.send(ran, signal.SIGTERM)
            await processes.gone(ran, grace_s)
        await self._kill()

    async def _kill(self) -> None:
        """End all that is left of it, helpers too."""
        left = processes.every_process(self.folder)
        processes.send(left, signal.SIGKILL)
        left = await processes.gone(left, KILL_TIMEOUT_S)
        if left:
            pids = ", ".join(str(process.pid) for process in left)
            raise self._failed(f"has processes that do not end: {pids}")
        self.folder.process.unlink(missing_ok=True)
        self.folder.ready.unlink(missing_ok=True)

    def _failed(self, what: str, hint: str = "correct what it says") -> SpawnFailed:
        words = self.last_words() or "  (it said nothing)"
        return SpawnFailed(f"instance {self.folder.instance_id!r} {what}:\n{words}", hint=hint)


def _grace(template: InstanceTemplate) -> float:
    return told.read(template).drain_timeout_s + CLOSING_S


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code} as it started"
    return f"ended as it started (exit code {code})"
