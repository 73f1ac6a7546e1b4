"""Reading the scripts as text: which functions a script reaches, and which keys they touch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

LUA = files("godel_tasks.store") / "lua"

#: Functions of lua/lib that name a derived key, and the key's first word.
DERIVERS = {
    "lane_key": "lane",
    "ready_key": "ready",
    "tenant_key": "tenant",
    "held_key": "held",
    "outbox_key": "outbox",
    "cancels_key": "cancels",
    "short_bucket": "settled",
    "long_bucket": "known",
    "session_key": "session",
    "behind_key": "behind",
    "members_key": "members",
}

_ONE_LINE = r"^local function (\w+)(\(.* end) *$"
_BLOCK = r"^local function (\w+)(\([^\n]*\n.*?)^end$"


@dataclass(frozen=True, slots=True)
class LuaFile:
    """A script's file: its header's fields and its own body."""

    name: str
    text: str

    @classmethod
    def read(cls, name: str) -> LuaFile:
        return cls(name, (LUA / f"{name}.lua").read_text(encoding="utf-8"))

    def field(self, name: str) -> list[str]:
        match = re.search(rf"^-- {name}: (.*)$", self.text, re.MULTILINE)
        return match.group(1).split() if match else []

    @property
    def reached(self) -> str:
        """The body, and every function of the included fragments that it can come to."""
        functions: dict[str, str] = {}
        for fragment in self.field("include"):
            functions |= _functions((LUA / "lib" / f"{fragment}.lua").read_text(encoding="utf-8"))
        todo = [_code(self.text)]
        seen: dict[str, str] = {}
        while todo:
            text = todo.pop()
            for name in set(re.findall(r"\b([a-z_]+)\(", text)) & functions.keys() - seen.keys():
                seen[name] = functions[name]
                todo.append(functions[name])
        return "\n".join([_code(self.text), *seen.values()])

    @property
    def derives(self) -> set[str]:
        """First words of the keys that the script derives from its prefix."""
        text = re.sub(r"'PUBLISH', P \.\. '\w+'", "", self.reached)
        named = {word for function, word in DERIVERS.items() if f"{function}(" in text}
        return named | set(re.findall(r"P \.\. '(\w+)", text)) - set(DERIVERS.values())


def script_names() -> list[str]:
    return sorted(entry.name[:-4] for entry in LUA.iterdir() if entry.name.endswith(".lua"))


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def _functions(text: str) -> dict[str, str]:
    """Local functions of a fragment: name → body. Top-level blocks start and end in column 0."""
    found: dict[str, str] = {}
    code = _code(text)
    for match in re.finditer(_ONE_LINE, code, re.MULTILINE):
        found[match.group(1)] = match.group(2)
    code = re.sub(_ONE_LINE, "", code, flags=re.MULTILINE)
    for match in re.finditer(_BLOCK, code, re.MULTILINE | re.DOTALL):
        found[match.group(1)] = match.group(2)
    return found
