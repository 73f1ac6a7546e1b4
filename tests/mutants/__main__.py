"""python -m tests.mutants [WORD ...]

Plants each bug (whose name has one of the words) in a copy of the package, never in the work tree,
and asks tests until one fails. First the same tests must pass on a copy without a bug.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.mutants.catalogue import MUTANTS, Hunt, Mutant, Patch

ROOT = Path(__file__).parent.parent.parent
COPIED = ("godel_tasks", "workers", "config", "tests", "pyproject.toml", "README.md")
#: Seconds that one hunt may take; a bug that makes a test hang is found as well.
PATIENCE_S = 300


class PatchDoesNotFit(Exception):
    """The code has changed: the catalogue must follow."""


def copy_tree(folder: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=skip)
        elif source.exists():
            shutil.copy2(source, folder / name)


def plant(folder: Path, patch: Patch) -> None:
    path = folder / patch.file
    text = path.read_text(encoding="utf-8")
    if text.count(patch.old) != 1:
        raise PatchDoesNotFit(f"{patch.file} has {text.count(patch.old)} times: {patch.old}")
    path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")


def passes(folder: Path, hunt: Hunt) -> bool:
    try:
        done = subprocess.run(
            [sys.executable, *hunt.arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def find(mutant: Mutant) -> Hunt | None:
    """The first hunt that finds the bug."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        copy_tree(folder)
        plant(folder, mutant.patch)
        return next((hunt for hunt in mutant.hunts if not passes(folder, hunt)), None)


def sound(hunts: set[Hunt]) -> bool:
    """Whether all tests pass without a bug: a test that always fails finds nothing."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy_tree(Path(name))
        broken = [hunt.name for hunt in sorted(hunts, key=str) if not passes(Path(name), hunt)]
    for hunt in broken:
        print(f"fails without any bug: {hunt}")
    return not broken


def main(words: list[str]) -> int:
    mutants = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    if not sound({hunt for mutant in mutants for hunt in mutant.hunts}):
        return 1
    found = 0
    for mutant in mutants:
        began = time.monotonic()
        hunt = find(mutant)
        found += hunt is not None
        by = f"found by {hunt.name}" if hunt else "NOT FOUND"
        print(f"{mutant.name}: {by} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"found {found}/{len(mutants)}")
    return 0 if found == len(mutants) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
