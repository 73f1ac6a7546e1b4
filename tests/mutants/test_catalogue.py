"""The planted bugs fit the code of now; whether they are found is `make mutants`."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import ROOT
from tests.mutants.catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_can_be_planted(mutant: Mutant) -> None:
    text = (ROOT / mutant.patch.file).read_text(encoding="utf-8")
    assert text.count(mutant.patch.old) == 1
    assert mutant.patch.old != mutant.patch.new
    assert mutant.hunts


def test_there_are_fifteen() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == 15
