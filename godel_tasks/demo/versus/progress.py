"""How far a running side is, by what its journals have grown."""

from __future__ import annotations

import json
from pathlib import Path


class Progress:
    """Which tasks have come to their end. `look` reads what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.ended: set[str] = set()

    def look(self) -> int:
        """How many tasks have ended."""
        for path in self._folder.glob("runs-*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read[path] = self._read.get(path, 0) + len(whole) + len(newline)
            for line in whole.splitlines():
                event = json.loads(line)
                if event["event"] == "end":
                    self.ended.add(event["key"])
        return len(self.ended)


def accepted(folder: Path) -> dict[str, str]:
    """Ids and keys of all tasks that were accepted."""
    found = {}
    for path in folder.glob("producer-*.jsonl"):
        for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
            task = json.loads(line)
            found[task["id"]] = task["key"]
    return found
