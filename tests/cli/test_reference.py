"""The reference of the command says what the command does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from godel_tasks.cli import exit_codes
from godel_tasks.cli.main import app
from tests.cli.test_main import LEAVES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z -]+)` \| [^|]+ \| `(godel [^`]+)` \|", PAGE, re.MULTILINE))


def test_every_command_stands_in_the_table() -> None:
    assert set(ROWS) == {" ".join(path) for path in LEAVES}


@pytest.mark.parametrize("name", ROWS)
def test_an_example_calls_its_command_with_options_that_exist(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an example, and the file that it may name
    monkeypatch.chdir(tmp_path)
    Path("pages.jsonl").touch()
    Path("pools.toml").touch()
    words = shlex.split(ROWS[name])[1:]
    path = tuple(name.split())
    assert tuple(words[: len(path)]) == path
    # Then its command takes it
    command = LEAVES[path]
    with command.make_context(name, words[len(path) :], resilient_parsing=False) as context:
        assert context.params


def test_the_exit_codes_are_those_of_the_code() -> None:
    pattern = r"^\| (\d+) \| ([^|]+?) \|"
    in_code = re.findall(pattern, exit_codes.__doc__ or "", re.MULTILINE)
    assert re.findall(pattern, PAGE, re.MULTILINE) == in_code
    assert {int(code) for code, _ in in_code} >= set(exit_codes.EXIT_CODES.values())


def test_the_page_names_what_the_root_offers() -> None:
    options = {o for parameter in get_command(app).params for o in parameter.opts}
    assert "--install-completion" in options
    assert "--install-completion" in PAGE
