"""The command in process, and a dispatcher played by the test: what stories about the CLI need."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from typer.testing import CliRunner

from godel_tasks.cli.main import app
from godel_tasks.dispatch.outcome import Outcome, celery_meta, decode_outcome, encode_outcome
from godel_tasks.store.command import call
from godel_tasks.store.executor import SyncExecutor, connect_sync
from godel_tasks.store.keys import result_key
from godel_tasks.store.queue import Settlement, Verb
from godel_tasks.store.records import HeldTask
from tests.cell import ANY_CLASS, Cell

NAME = "d1"


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it wrote where."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """Its one JSON object; anything else on stdout fails."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The error of `--json`."""
        assert self.code != 0
        error: dict[str, Any] = self.data["error"]
        assert set(error) == {"type", "message", "hint"}
        return error


def godel(*args: object, typed: str | bytes | None = None) -> Said:
    """Run a command line."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return Said(result.exit_code, result.stdout, result.stderr)


def ok(*args: object, typed: str | bytes | None = None) -> dict[str, Any]:
    """What a command answers with --json when all is well."""
    said = godel(*args, "--json", typed=typed)
    assert said.code == 0, said
    return said.data


def real_time_cell(client: Any) -> Cell:
    """A cell on Redis's own clock."""
    return Cell(SyncExecutor(client), start_ms=0)


class PlayedDispatcher:
    """Claims, ends and publishes as a dispatcher does, by the test's hand."""

    def __init__(self, url: str) -> None:
        self._client = connect_sync(url)
        self.cell = real_time_cell(self._client)
        self.cell.dispatcher(NAME, lease_ms=600_000)

    def close(self) -> None:
        self._client.close()

    def take(self, count: int = 1, classes: Iterable[str] = (ANY_CLASS,)) -> tuple[HeldTask, ...]:
        return self.cell.take(NAME, count, classes=classes)

    def end(self, *held: HeldTask, error: str = "", result: Any = None, bury: bool = False) -> None:
        """Settle them, and publish what follows."""
        self.cell.settle(
            NAME, *(_settlement(task, error=error, result=result, bury=bury) for task in held)
        )
        self.publish()

    def hold(self, held: HeldTask, why: str) -> None:
        self.cell.settle(
            NAME,
            Settlement(
                held.record.task_id,
                held.epoch,
                Verb.HOLD,
                held.estimate_ms,
                1.0,
                after_ms=60_000,
                data=why.encode(),
            ),
        )

    def publish(self) -> None:
        """Write the results that wait in its own and in the shared outbox."""
        for task_id, entry in self.cell.publish_all(NAME).items():
            meta = celery_meta(task_id, decode_outcome(entry))
            self.cell.run(
                call("publish", keys=[result_key(task_id)], args=[3600, meta], decode=int)
            )


def _settlement(held: HeldTask, *, error: str, result: Any, bury: bool) -> Settlement:
    record, letter = held.record, "F" if error else "S"
    outcome = Outcome(
        letter,
        record.tenant_id,
        1_800_000_000_000,
        held.instance_id,
        record.attempt,
        1.5,
        b"" if error else json.dumps(result).encode(),
        error_type="ValueError" if error else "",
        error_module="builtins" if error else "",
        error_message=error,
    )
    return Settlement(
        record.task_id,
        held.epoch,
        Verb.TERMINAL,
        held.estimate_ms,
        1.5,
        letter=letter,
        bury=bury,
        data=encode_outcome(outcome),
    )


class WorkingDispatcher:
    """A played dispatcher that works by itself: each payload's end is what `handler` says."""

    def __init__(self, url: str, handler: Callable[[Any], Any]) -> None:
        self._played = PlayedDispatcher(url)
        self._handler = handler
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        #: How often each task was run.
        self.runs: dict[str, int] = {}

    def __enter__(self) -> WorkingDispatcher:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._played.close()

    def _work(self) -> None:
        while not self._stop.wait(0.005):
            for held in self._played.take(100):
                self.runs[held.record.task_id] = self.runs.get(held.record.task_id, 0) + 1
                try:
                    answer = self._handler(json.loads(held.record.body.payload))
                    self._played.end(held, result=answer)
                except ValueError as error:
                    self._played.end(held, error=str(error))
            self._played.publish()
