"""A script's header is its contract: its body, its Python face and the cluster agree with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import godel_tasks
from godel_tasks.store.script import load
from tests.keyleaks import rules
from tests.store.lua_text import LuaFile, script_names

PACKAGE = Path(godel_tasks.__file__).parent


def _faces() -> dict[str, list[tuple[ast.FunctionDef, ast.Call]]]:
    """Functions that build a call of a script, by the script's name."""
    found: dict[str, list[tuple[ast.FunctionDef, ast.Call]]] = {}
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _called(node) in {"call", "_call"}:
                    first = node.args[0] if node.args else None
                    if isinstance(first, ast.Constant) and isinstance(first.value, str):
                        found.setdefault(first.value, []).append((function, node))
    return found


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in node.keywords if k.arg == name), None)


FACES = _faces()
SCRIPTS = script_names()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_takes_and_returns(name: str) -> None:
    # Given a script's file
    script = LuaFile.read(name)
    # Then it opens with its own name, and documents what comes and goes
    assert script.text.startswith(f"-- {name}: ")
    assert script.field("KEYS"), "no KEYS"
    assert script.field("ARGV"), "no ARGV"
    assert script.field("RETURNS"), "no RETURNS"
    assert ("..." in script.field("ARGV")) == ("REST" in re.sub(r"--[^\n]*", "", script.text))
    if "..." in script.field("ARGV"):
        assert script.field("REST"), "no REST"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_lists_every_key_that_it_derives(name: str) -> None:
    script = LuaFile.read(name)
    assert script.derives - set(script.field("KEYS")) == set(script.field("DERIVES"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_declares_the_fixed_keys_that_it_uses_and_no_others(name: str) -> None:
    # Given the fixed keys of the key table, and the names in the script's header
    script = LuaFile.read(name)
    text = re.sub(r"'[^']*'", "''", script.reached)
    used = set(re.findall(r"(?<![.\w])([a-z_]+)(?![\w(])", text))
    # Then each declared key is used (the first one gives the prefix), and none undeclared
    declared = {key for key in script.field("KEYS") if key.isidentifier()} - {
        "one",
        "per",
        "result",
    }
    assert declared - used <= set(script.field("KEYS")[:1]), (
        f"declared and not used: {declared - used}"
    )
    fixed = {"index", "classes", "live", "waiting", "seqs", "tombs", "parked", "due", "batches"}
    fixed |= {"settles", "leases", "gone", "meta", "dead_at", "wake", "sleepers", "unroutable"}
    lists = re.findall(r"local (?:function )?([a-z_, ]+)", text)
    locals_ = {word for names in lists for word in re.findall(r"[a-z_]+", names)}
    assert (used & fixed) - locals_ <= declared, "used and not declared"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_a_python_face_of_the_same_shape(name: str) -> None:
    # Given the Python functions that call the script
    faces = FACES.get(name, [])
    assert faces, f"nothing in the package calls {name}.lua"
    script = load(name)
    for function, node in faces:
        # Then who has several arguments takes them by keyword
        positional = [a.arg for a in function.args.args if a.arg not in {"self", "cls"}]
        if not function.name.startswith("_"):
            assert len(positional) <= 2, f"{function.name} takes {positional} by position"
        if _called(node) == "_call":
            given = len([a for a in node.args[1:] if not isinstance(a, ast.Starred)])
            expected = len(script.args) - ("now" in script.args)
        else:
            args, keys = _keyword(node, "args"), _keyword(node, "keys")
            if not isinstance(args, ast.List) or not isinstance(keys, ast.List):
                continue
            given = len([a for a in args.elts if not isinstance(a, ast.Starred)])
            expected = len(script.args)
            if not script.has_more_keys:
                assert len(keys.elts) == len(script.keys)
        # And as many arguments as the header names
        assert given == expected, f"{function.name} gives {given} of {script.args}"
        has_rest = any(isinstance(e, ast.Starred) for e in ast.walk(node)) or bool(
            _keyword(node, "rest")
        )
        assert has_rest == script.has_rest


def test_the_key_table_knows_every_fixed_and_derived_key() -> None:
    # Given the words of all keys in headers
    table = rules()
    aliases = {"outbox_shared", "outbox_dead", "outbox_from", "outbox_own", "held_dead", "held_own"}
    aliases |= {"cancels_dead", "cancels_own", "instances", "fleet_events", "info", "slots"}
    aliases |= {"orphans", "breaker", "..."}
    aliases |= {"fields", "lease"}
    for name in SCRIPTS:
        script = LuaFile.read(name)
        if "..." in script.field("KEYS"):
            continue
        # Then the table has a row for each
        for word in {*script.field("KEYS"), *script.field("DERIVES")} - aliases:
            assert word in table, f"{name}.lua uses {word}, which keys.py does not list"
