"""One short seeded run of chaos; `make chaos` runs as many rounds as it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Chaos

pytestmark = pytest.mark.alone


@pytest.mark.timeout(180)
def test_nothing_is_lost_while_processes_are_killed_and_stopped(tmp_path: Path):
    # Given a world under load, and a few rounds of faults
    said: list[str] = []
    # When each has done its worst
    verdict = Chaos(tmp_path, seed=5, say=said.append).run(seed=5, rounds=3, seconds=4)
    # Then every accepted task has exactly one result, and nothing is left over
    assert verdict.good, "\n".join([*said, repr(verdict), f"logs: {tmp_path}"])
    assert verdict.accepted > 100
    assert len(said) == 3
