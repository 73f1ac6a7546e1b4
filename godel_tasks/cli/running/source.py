"""Lines of a file as tasks, each with an id that is the same in every run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from godel_tasks.errors import GodelError, InvalidTask
from godel_tasks.policy.admission import TaskRequest, request_of

_NAMESPACE = uuid.UUID("0c6d2c6e-5c0b-5d0c-8f0a-3a8c1d1f2b77")
#: Fields that are times; JSON has none.
_MOMENTS = ("deadline", "expires", "eta")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as a task, or what is wrong with it. Numbers count from 1."""

    number: int
    task_id: str
    request: TaskRequest | None = None
    error: GodelError | None = None


@dataclass(frozen=True, slots=True)
class LineSource:
    """A file of JSON lines; with `tenant`, of bare payloads. `again` tells runs apart."""

    file: Path
    tenant: str = ""
    again: str = ""

    def ids(self) -> Iterator[tuple[int, str]]:
        """Number and task id of each line that is not blank."""
        for line in self.lines():
            yield line.number, line.task_id

    def lines(self) -> Iterator[Line]:
        with self.file.open("rb") as file:
            for number, raw in enumerate(file, 1):
                text = raw.strip()
                if text:
                    yield self._line(number, text)

    def _line(self, number: int, text: bytes) -> Line:
        task_id = self._id(number, text)
        try:
            fields = self._fields(text)
            task_id = fields.setdefault("task_id", task_id)
            return Line(number, str(task_id), request_of(fields))
        except GodelError as error:
            return Line(number, str(task_id), error=error)

    def _id(self, number: int, text: bytes) -> str:
        name = f"{self.file.name}\n{number}\n{self.tenant}\n{self.again}\n"
        return str(uuid.uuid5(_NAMESPACE, name + text.decode("utf-8", "backslashreplace")))

    def _fields(self, text: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidTask(
                f"the line is not JSON: {error}", hint="one value on a line"
            ) from error
        if self.tenant:
            return {"tenant_id": self.tenant, "payload": value}
        if not isinstance(value, dict):
            raise InvalidTask(
                "the line is not an object with tenant_id and payload",
                hint="with --tenant each line is a bare payload",
            )
        if value.get("ignore_result"):
            raise InvalidTask("ignore_result leaves nothing to write", hint="leave it out")
        for name in _MOMENTS:
            if isinstance(value.get(name), str):
                value[name] = _moment(name, value[name])
        if value.get("task_id") is None:
            value.pop("task_id", None)
        return value


def _moment(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidTask(
            f"{name} {text!r} is not a time", hint="write 2026-05-01T12:00:00Z, or seconds"
        ) from None
