"""A gateway's log for people: its JSON lines as time, level and text."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from godel_tasks.openclaw.folder import Folder

#: Seconds between two looks at a log that is followed.
FOLLOW_S = 0.2
#: The end of a log that its last lines are looked for in (bytes).
TAIL_BYTES = 1_000_000
#: Characters that are shown of a line in an error.
SHOWN = 300


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none when there is no file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return list(deque((_decoded(line) for line in file), maxlen=lines))
    except OSError:
        return []


def last_words(folder: Folder, lines: int = 5) -> str:
    """Why it would not start: what it printed, else the end of its log."""
    said = [line for line in tail(folder.console, lines) if line.strip()]
    said = said or [readable(line) for line in tail(folder.log, lines)]
    return "\n".join(f"  {line[:SHOWN]}" for line in said) or "  (it said nothing)"


def follow(
    path: Path, *, go_on: Callable[[], bool], pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """New lines as they come, over a rotation of the file; ends when `go_on` says so."""
    position, inode, rest = (path.stat().st_size, path.stat().st_ino, b"") if path.exists() else (
        0, 0, b"",
    )  # fmt: skip
    while go_on():
        try:
            with path.open("rb") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != inode or now.st_size < position:
                    position, inode, rest = 0, now.st_ino, b""
                file.seek(position)
                new = file.read()
        except FileNotFoundError:
            new = b""
        position += len(new)
        *whole, rest = (rest + new).split(b"\n")
        yield from map(_decoded, whole)
        if not new:
            pause(FOLLOW_S)


def readable(line: str) -> str:
    """One line of `gateway.log`; anything else as it is."""
    try:
        entry = json.loads(line)
        meta = entry["_meta"]
        at, level = str(meta["date"]), str(meta["logLevelName"])
    except (ValueError, KeyError, TypeError):
        return line
    parts = [entry[key] for key in sorted((k for k in entry if k.isdigit()), key=int)]
    return f"{at} {level:<5} " + " ".join(filter(None, map(_part, parts)))


def _part(value: Any) -> str:
    if isinstance(value, str):
        if value.startswith('{"'):  # the logger's name
            try:
                named = json.loads(value)
                return "[" + str(named.get("subsystem") or named.get("module") or "?") + "]"
            except ValueError:
                return value
        return value
    return json.dumps(value, ensure_ascii=False)


def _decoded(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")
