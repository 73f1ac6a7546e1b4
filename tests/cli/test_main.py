"""The command as a whole: help, errors, exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from godel_tasks import errors
from godel_tasks.cli import exit_codes
from godel_tasks.cli.main import Godel, app
from tests.cli.played import godel

#: They run in the foreground and answer nothing, or answer in their own way.
NOT_JSON = {"instance"}
GODEL = Path(sys.executable).with_name("godel")


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        loaded = Godel.lazy[name].load(name) if not path else command
        if hasattr(loaded, "commands"):
            yield from leaves(loaded, (*path, name))
        else:
            yield (*path, name), loaded


LEAVES = dict(leaves(get_command(app)))


@pytest.mark.parametrize("path", [p for p in LEAVES if p[0] not in NOT_JSON], ids=" ".join)
def test_every_command_can_answer_in_json_and_explains_itself(path: tuple[str, ...]) -> None:
    options = {option for parameter in LEAVES[path].params for option in parameter.opts}
    assert "--json" in options
    said = godel(*path, "--help")
    assert said.code == 0
    assert LEAVES[path].help.strip().endswith(".")


def test_help_lists_the_commands_and_imports_none_of_them() -> None:
    # When a process of its own prints the help
    program = (
        "import sys\n"
        "from godel_tasks.cli.main import app\n"
        "try:\n    app(['--help'])\n"
        "finally:\n    print(sorted(m for m in sys.modules if 'godel_tasks.cli.' in m), "
        "'grpc' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    # Then the commands are named
    assert done.returncode == 0
    assert all(re.search(rf"\b{name}\b", done.stdout) for name in Godel.lazy)
    # And none of their modules was imported
    assert "cli.tasks" not in done.stderr
    assert "cli.up" not in done.stderr
    assert done.stderr.strip().endswith("False")


def test_the_installed_command_is_this_one() -> None:
    done = subprocess.run([GODEL, "--version"], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"godel \d+\.\d+\.\d+\n", done.stdout)


def test_a_wrong_word_brings_the_nearest_right_one() -> None:
    said = godel("tenant", "list")
    assert said.code == exit_codes.USAGE
    assert "Did you mean" in said.err
    assert "tenants" in said.err
    assert said.out == ""


def test_a_wrong_option_is_an_error_in_json_too() -> None:
    said = godel("tasks", "list", "--limit", "x", "--json")
    assert said.code == exit_codes.USAGE
    assert said.error["type"] == "UsageError"
    assert "--limit" in said.error["message"]
    assert said.error["hint"] == "See `godel tasks list --help`."


def test_all_problems_of_the_settings_are_told(
    attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given three wrong settings
    monkeypatch.setenv("GODEL_LEASE_MS", "soon")
    monkeypatch.setenv("GODEL_CELLS", "0")
    monkeypatch.setenv("GODEL_STRATEGI", "least-loaded")
    # When any command needs the settings
    said = godel("tenants", "list", "--json")
    # Then it names all three
    assert said.code == exit_codes.EXIT_CODES[errors.SettingsError]
    for name in ("GODEL_LEASE_MS", "GODEL_CELLS", "GODEL_STRATEGI"):
        assert name in said.error["message"]
    assert said.error["hint"]


def test_without_a_server_the_error_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GODEL_REDIS_URL", raising=False)
    monkeypatch.setenv("GODEL_DATA_DIR", str(tmp_path))
    for command in (["tenants", "list"], ["tasks", "submit", "acme", "1"]):
        said = godel(*command)
        assert said.code == exit_codes.EXIT_CODES[errors.StoreUnavailable]
        assert "Nothing runs on the data folder" in said.err
        assert "`godel up`" in said.err
        assert "Traceback" not in said.err


def test_a_server_that_does_not_answer_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GODEL_REDIS_URL", "redis://127.0.0.1:1/0")
    said = godel("instances", "list", "--json")
    assert said.code == exit_codes.EXIT_CODES[errors.StoreUnavailable]
    assert said.error["type"] == "StoreUnavailable"
    # And who wants to see where can
    monkeypatch.setenv("GODEL_DEBUG", "1")
    assert "Traceback" in godel("instances", "list").err


def test_a_fault_of_ours_says_how_to_report_it(
    attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("godel_tasks.cli.tenants._all", fails)
    said = godel("tenants", "list", "--json")
    assert said.code == exit_codes.UNEXPECTED
    assert (said.error["type"], said.error["hint"][:15]) == ("ZeroDivisionError", "Set GODEL_DEBUG")


def test_settings_are_printed_without_passwords(
    attached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GODEL_BROKER_URL", "redis://user:hunter2@example.org/1")
    for said in (godel("settings"), godel("settings", "--json")):
        assert said.code == 0
        assert "redis://user:***@example.org/1" in said.out
        assert "hunter2" not in said.out


def _tree(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


@pytest.mark.parametrize("kind", list(_tree(errors.GodelError)), ids=lambda kind: kind.__name__)
def test_every_error_has_an_exit_code_of_the_table(kind: type[BaseException]) -> None:
    listed = set(map(int, re.findall(r"^\| (\d+) \|", exit_codes.__doc__ or "", re.MULTILINE)))
    code = exit_codes.exit_code(kind.__new__(kind))
    assert code in listed
    assert code != 0
    # Only what has no better place is "an error that no other code is for"
    assert (code == exit_codes.UNEXPECTED) == (
        kind in (errors.GodelError, errors.TenantError) or kind.__module__ != "godel_tasks.errors"
    )


def test_completion_is_on() -> None:
    assert {"--install-completion", "--show-completion"} <= {
        option for parameter in get_command(app).params for option in parameter.opts
    }
    assert typer.main.get_command(app).name == "godel"
