"""Node with the packages of `node/package-lock.json`, kept under `build/intake/` between runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from benchmarks.peers import install

SOURCES = Path(__file__).with_name("node")
CACHE = install.ROOT / "build" / "intake"
#: What npm says when nobody answers it; anything else that goes wrong is a failure.
_UNREACHABLE = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|"
    r"ERR_SOCKET_TIMEOUT|FETCH_ERROR|network (timeout|request)"
)


def node_folder() -> Path:
    """The folder with `client.js` and what it needs, installed if need be.

    Skips the test when npm's registry cannot be reached; in CI it fails then, too.
    """
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((SOURCES / name).read_bytes())
    folder = CACHE / digest.hexdigest()[:12]
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=CACHE))
        try:
            _install(made)
            # Whole, or not there: somebody else may make the same one now.
            made.rename(folder)
        except OSError:
            assert folder.exists()
        finally:
            shutil.rmtree(made, ignore_errors=True)
    shutil.copy(SOURCES / "client.js", folder)
    return folder


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCES / name, folder)
    npm = install.node("npm")
    # The wheel's npm looks for its node on PATH.
    env = {**os.environ, "PATH": f"{Path(npm).parent}{os.pathsep}{os.environ['PATH']}"}
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
    done = subprocess.run(
        [npm, "ci", *flags], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        if _UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("npm's registry cannot be reached, and celery-node is not in build/intake")
        pytest.fail(f"npm ci: {done.stderr}", pytrace=False)


def run_node(folder: Path, *arguments: str) -> str:
    """What `node` prints."""
    done = subprocess.run(
        [install.node(), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
