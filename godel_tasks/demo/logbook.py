"""What the demo's processes say: a file for each, and the last lines at hand."""

from __future__ import annotations

from collections import defaultdict, deque
from pathlib import Path

#: Lines of a process that are shown when it fails.
LAST_LINES = 8


class LogBook:
    """A sink of the supervisor. Files are opened for each line: there are few lines, and then
    nothing is left to close."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_LINES))
        self._said: dict[str, set[str]] = defaultdict(set)

    def __call__(self, name: str, line: str) -> None:
        self._last[name].append(line)
        self._said[name].update(line.split(maxsplit=1)[:1])
        with (self._folder / f"{name}.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def said(self, name: str, word: str) -> bool:
        """Whether the process has said a line that begins with this word."""
        return word in self._said[name]

    def last(self, name: str) -> str:
        """Its last lines."""
        return "\n".join(f"  {name}: {line}" for line in self._last[name]) or f"  {name}: no word"
