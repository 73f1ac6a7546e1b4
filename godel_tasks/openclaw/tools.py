"""pip and npm, run for their effect; what goes wrong is told in a line with what to do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from godel_tasks.errors import InstallFailed

#: The slowest step took 20 s here; a slow line takes longer.
TIMEOUT_S = 900

#: What tools say in their many words, and what to do then.
_UNREACHABLE = (
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|"
    r"ERR_SOCKET_TIMEOUT|FETCH_ERROR|network (timeout|request)|Failed to establish|"
    r"Name or service not known|Temporary failure in name resolution|Max retries exceeded"
)
_HINTS = {
    r"No module named '?\"?pip": "make pip with `python -m ensurepip`, or use another Python",
    r"ENOSPC|no space left|not enough space": "make room: it takes about 1 GB",
    _UNREACHABLE: "the registry cannot be reached: check the network, the proxy (HTTPS_PROXY), "
    "and what pip's and npm's own configuration call the index and the registry",
    r"EINTEGRITY|THESE PACKAGES DO NOT MATCH": "a mirror served another file than was locked",
    r"No matching distribution": "neither pip's index nor this platform may have a Node 24 wheel",
    r"EACCES|EPERM|Permission denied": "set GODEL_OPENCLAW_DIR to a folder that you may write",
}
#: Lines that say nothing about the reason.
_NOISE = re.compile(
    r"npm (warn|notice)|WARNING:|A complete log of this run|^npm error$", re.IGNORECASE
)


def run(
    name: str,
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """What the tool printed on its standard output.

    Raises:
        InstallFailed: with the line in which the tool says why.
    """
    try:
        done = subprocess.run(
            arguments,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InstallFailed(
            f"{name} did not end within {TIMEOUT_S} s", hint="check the network and try again"
        ) from None
    except OSError as error:
        raise failed(name, str(error)) from error
    if done.returncode:
        raise failed(name, done.stderr + done.stdout)
    return done.stdout


def failed(name: str, said: str) -> InstallFailed:
    """The error about what a tool said at its end."""
    return InstallFailed(f"{name} failed: {_reason(said)}", hint=_hint(said))


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    lines = [line for line in lines if not _NOISE.search(line)] or lines or ["it said nothing"]
    # npm begins with its error's code, pip ends with its reason.
    codes = [line for line in lines if line.startswith("npm error")]
    if codes:
        return " ".join(line.removeprefix("npm error").strip() for line in codes[:3])
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines)[-1].removeprefix("ERROR:").strip()


def _hint(said: str) -> str:
    for pattern, hint in _HINTS.items():
        if re.search(pattern, said, re.IGNORECASE):
            return hint
    return "read its reason, and try again with `godel openclaw install`"
