"""A project of a user's, with tests of its own, and Godel installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """How a run of pytest ended: counts by outcome, and what it said."""

    counts: dict[str, int]
    text: str


class UserProject:
    """Files, and pytest run on them in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._site = folder / ".site"
        # What `pip install` writes of the plugin: the installed one may be of another time.
        info = self._site / "godel_tasks-0.dist-info"
        info.mkdir(parents=True)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        (name, module), *_ = project["entry-points"]["pytest11"].items()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: godel-tasks\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def run(self, *words: str, **more_env: str) -> Ran:
        """Python with these words."""
        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("GODEL_", "CELERY_", "PYTEST_"))
        }
        env["PYTHONPATH"] = os.pathsep.join([str(self._site), str(ROOT)])
        env["GODEL_DATA_DIR"] = str(self.folder / "nothing-runs-here")
        env.update(more_env)
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=env, capture_output=True, text=True,
            timeout=100, check=False,
        )  # fmt: skip
        text = done.stdout + done.stderr
        counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", text)}
        return Ran(counts, text)

    def pytest(self, *words: str) -> Ran:
        """pytest, whose warnings are errors, with Godel's plugin and none of the others here."""
        others = [f"-pno:{name}" for name in ("asyncio", "cacheprovider", "hypothesispytest")]
        return self.run("-m", "pytest", "-q", "-W", "error", *others, *words)


def files_of(page: Path) -> dict[str, str]:
    """The Python files that a page shows, each named in the first line of its block."""
    shown = r"^```python\n# (\S+\.py)\n(.*?)^```$"
    blocks = re.findall(shown, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    files = dict(blocks)
    assert files
    assert len(files) == len(blocks), "two files of one name"
    return files


@pytest.fixture
def project(tmp_path: Path) -> UserProject:
    return UserProject(tmp_path)
