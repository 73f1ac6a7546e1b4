"""The pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from godel_tasks.domain.task import TRANSITIONS, TaskState
from godel_tasks.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_picture_of_states_shows_exactly_the_allowed_moves() -> None:
    # Given the picture in the reference
    page = (ROOT / "docs/reference/states.md").read_text()
    # When its arrows are read
    arrows = set(re.findall(r"^\s+(\w+) --> (\w+)$", page, re.MULTILINE))
    # Then they are the table that the code uses
    assert arrows == {(str(one), str(two)) for one, ends in TRANSITIONS.items() for two in ends}


def test_every_state_is_explained() -> None:
    page = (ROOT / "docs/reference/states.md").read_text()
    explained = re.findall(r"^\| ([A-Z_]+) \|", page, re.MULTILINE)
    assert explained == [str(state) for state in TaskState]


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    # Given the rows of the settings page
    page = (ROOT / "docs/reference/settings.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    # Then they are the fields of Settings, in no particular order
    assert set(rows) == set(Settings.model_fields)
    # And the plain defaults agree
    for name, field in Settings.model_fields.items():
        shown = rows[name].strip().strip("`")
        if isinstance(field.default, bool):
            assert shown == str(field.default).lower(), name
        elif isinstance(field.default, int | float):
            assert float(shown) == field.default, name
        elif isinstance(field.default, str) and field.default:
            assert shown == field.default, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inside = [link for link in links if "://" not in link]
    assert [link for link in inside if not (page.parent / link).exists()] == []
