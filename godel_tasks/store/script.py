"""Lua scripts as typed calls: loaded from `lua/*.lua`, one verb a file.

A file's header is its contract, and the loader reads it: `-- KEYS:` and `-- ARGV:` name what the
body then uses as locals (a trailing `...` in ARGV gives the rest as `REST`), `-- include:` names
fragments of `lua/lib`, of which it gets the definitions that it uses: the server makes every
function of a script anew at every call. The Python face of each verb stands in the module of its
subject, builds a `Command` and is compared with the header by a test.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_LUA = files("godel_tasks.store") / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    """A script, ready to be sent: source, sha1 and what its header says."""

    name: str
    source: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    #: More arguments follow the named ones.
    has_rest: bool
    #: More keys follow the named ones.
    has_more_keys: bool


def _field(text: str, name: str) -> list[str]:
    match = re.search(rf"^-- {name}: (.*)$", text, re.MULTILINE)
    return match.group(1).split() if match else []


def _bindings(names: list[str], table: str) -> str:
    if not names:
        return ""
    values = ", ".join(f"{table}[{i}]" for i in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}\n"


def _used(fragments: str, body: str) -> str:
    """The top-level definitions of `fragments` that `body` needs, directly or through others."""
    kept: list[str] = []
    wanted = set(re.findall(r"\w+", body))
    for definition in reversed(re.split(r"^(?=local )", fragments, flags=re.MULTILINE)):
        code = re.sub(r"--.*", "", definition)
        names = re.match(r"local (?:function )?([\w, ]+)", code)
        if names and wanted & set(re.findall(r"\w+", names.group(1))):
            kept.append(definition)
            wanted.update(re.findall(r"\w+", code))
    return "".join(reversed(kept))


@cache
def load(name: str) -> Script:
    """The script of that name.

    Raises:
        FileNotFoundError: no such file.
    """
    text = (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    keys, args = _field(text, "KEYS"), _field(text, "ARGV")
    has_more_keys = "..." in text.split("-- KEYS:", 1)[1].split("\n", 1)[0] if keys else False
    keys = [key for key in keys if key.isidentifier()] if not has_more_keys else []
    has_rest = bool(args) and args[-1] == "..."
    if has_rest:
        args = args[:-1]
    parts = [_bindings(keys, "KEYS"), _bindings(args, "ARGV")]
    if has_rest:
        named = len(args)
        parts.append(
            f"local REST = {{}}\nfor i = {named + 1}, #ARGV do REST[i - {named}] = ARGV[i] end\n"
        )
    fragments = "".join(
        (_LUA / "lib" / f"{fragment}.lua").read_text(encoding="utf-8")
        for fragment in _field(text, "include")
    )
    source = "".join([*parts, _used(fragments, text), text])
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, source, sha, tuple(keys), tuple(args), has_rest, has_more_keys)
