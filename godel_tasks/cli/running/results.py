"""The file of results: what is in it is done, whatever happens next."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from godel_tasks.cli.output import error_dict
from godel_tasks.domain.task import TERMINAL_STATES, TaskState
from godel_tasks.errors import GodelError
from godel_tasks.views.results import Ending

#: What a line's state is when it was not accepted, and tried again by the next `--resume`.
REFUSED = "REFUSED"
#: And when it was, and how it ended is not known any more.
UNKNOWN = "UNKNOWN"

_ENDS = {state.value for state in TERMINAL_STATES}


class ResultFile:
    """Append-only while it is open; a line is whole, or it is not there after `opened`."""

    def __init__(self, file: IO[str], done: Mapping[int, str]) -> None:
        self._file = file
        self._done = set(done)
        self.done_before = len(done)
        self._states = Counter(done.values())

    @classmethod
    @contextmanager
    def opened(cls, path: Path, ids: Mapping[int, str], *, resume: bool) -> Iterator[ResultFile]:
        """The file at `path` for lines with these `ids`. With `resume`, what it holds of other
        lines, of refused ones and of half-written ones is dropped first.

        Raises:
            GodelError: it exists, and `resume` is not given; or it cannot be written.
        """
        try:
            exists = path.exists() and path.stat().st_size > 0
            if exists and not resume:
                raise GodelError(
                    f"{path} exists already",
                    hint="give --resume to go on with it, or another file with --out",
                )
            done = _keep(path, ids) if exists else {}
            file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise GodelError(
                f"results cannot be written to {path}: {error.strerror}",
                hint="give another file with --out",
            ) from error
        with file:
            yield cls(file, done)
            file.flush()
            os.fsync(file.fileno())

    def has(self, number: int) -> bool:
        """Whether the line's result is there."""
        return number in self._done

    def settled(self, number: int, task_id: str, ending: Ending) -> None:
        entry: dict[str, Any] = {"line": number, "task_id": task_id, "state": ending.state.value}
        if ending.ok:
            entry["result"] = ending.result
        else:
            entry["error"] = {"type": ending.error_type, "message": ending.error_message}
        self._write(number, entry)

    def refused(self, number: int, task_id: str, error: GodelError) -> None:
        """It was not accepted."""
        self._failed(number, task_id, REFUSED, error)

    def lost(self, number: int, task_id: str, error: GodelError) -> None:
        """It was accepted, and its result cannot be had."""
        self._failed(number, task_id, UNKNOWN, error)

    def flush(self) -> None:
        self._file.flush()

    @property
    def total(self) -> int:
        return sum(self._states.values())

    @property
    def counts(self) -> dict[str, int]:
        """Results by state, those of earlier runs included."""
        names = [state.value for state in TaskState if state.is_terminal] + [REFUSED, UNKNOWN]
        return {name.lower(): self._states[name] for name in names}

    def _failed(self, number: int, task_id: str, state: str, error: GodelError) -> None:
        entry = {"line": number, "task_id": task_id, "state": state, "error": error_dict(error)}
        self._write(number, entry)

    def _write(self, number: int, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._done.add(number)
        self._states[str(entry["state"])] += 1


def _keep(path: Path, ids: Mapping[int, str]) -> dict[int, str]:
    """Rewrite the file with what is done, at once: number → state."""
    done: dict[int, str] = {}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with (
        path.open(encoding="utf-8", errors="replace") as old,
        temporary.open("w", encoding="utf-8") as new,
    ):
        for text in old:
            entry = _entry(text)
            number = entry.get("line")
            if (
                isinstance(number, int)
                and number not in done
                and ids.get(number) == entry.get("task_id")
                and entry.get("state") in _ENDS
            ):
                done[number] = entry["state"]
                new.write(text)
        new.flush()
        os.fsync(new.fileno())
    temporary.replace(path)
    return done


def _entry(text: str) -> dict[str, Any]:
    if not text.endswith("\n"):
        return {}  # cut off while it was written
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
