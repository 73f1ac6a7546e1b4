"""The reference of scaling policies says what the code says."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from godel_tasks.domain.scaling import ScalingPolicy
from godel_tasks.policy.scaling.reading import policies_of

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_field_stands_in_the_reference_with_its_default() -> None:
    page = (DOCS / "reference/scaling.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert set(rows) == {field.name for field in fields(ScalingPolicy)} - {"pool"}
    policy = ScalingPolicy("shared")
    for name, shown in rows.items():
        default = getattr(policy, name)
        if isinstance(default, bool):
            assert shown == str(default).lower(), name
        elif isinstance(default, int | float):
            assert float(shown) == default, name


def test_the_file_of_the_guide_is_one_that_the_door_lets_in() -> None:
    page = (DOCS / "how-to/scale-instances.md").read_text()
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (policy,) = policies_of(tomllib.loads(text))
    assert (policy.pool, policy.acts) == ("small", True)
