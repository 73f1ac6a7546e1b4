"""Peers are measured side by side, each result is read back, and a missing one is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers import install
from benchmarks.peers.__main__ import PEERS
from benchmarks.peers.celery import CeleryPeer
from benchmarks.peers.drain import drain
from benchmarks.peers.install import NotMeasured
from benchmarks.peers.peer import Look

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]
#: Those that need no installing, or are installed already by an earlier run of the benchmark.
THERE = [peer.name for peer in PEERS if peer.ready]
CELERY = {"workers": 1, "pool": "solo", "concurrency": 1, "prefetch_multiplier": 4}


def test_each_peer_has_a_figure_and_its_settings() -> None:
    # When those that are here drain a few tasks each
    arguments = ("--json", "--rounds", "1", "--tasks", "200", "--only", *THERE)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    # Then stdout is one JSON object with a rate for each of them, measured or not
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    about = report.pop("about")
    assert about["not_measured"] == {}, ended.stderr
    assert set(report) == set(about["settings"]) == set(about["notes"]) == set(THERE)
    assert {"godel", "celery"} <= set(report)
    assert all(rate > 0 for rate in report.values())
    assert about["settings"]["godel"]["tasks"] == 600
    assert about["calibration"]["score"]


async def test_results_that_are_lost_are_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a Celery of which a result vanishes after it was stored
    class Forgetful(CeleryPeer):
        def left(self, look: Look) -> int:
            if not (left := super().left(look)):
                look.results.delete(next(look.results.scan_iter(count=1)))
            return left

    # When it is measured, then there is no figure, and the reason says what is missing
    with pytest.raises(NotMeasured, match="19 of 20 results are there"):
        await drain(Forgetful(), CELERY, 20)


async def test_workers_that_end_are_told_at_once() -> None:
    # Given a pool that does not exist
    with pytest.raises(NotMeasured, match="celery1 ended: no task was taken"):
        await drain(CeleryPeer(), {**CELERY, "pool": "no-such-pool"}, 5)


def test_what_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a lock of a package that no index has, and no index either
    (tmp_path / "ghost.lock").write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(install, "LOCKS", tmp_path)
    monkeypatch.setattr(install, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    # When it is asked for
    with pytest.raises(NotMeasured, match=r"could not install it: ERROR: .*no-such-package"):
        install.python("ghost")
    # Then it does not pass for installed
    assert not install.is_installed("ghost")


def test_an_environment_follows_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an environment made from a lock that asks for nothing
    lock = tmp_path / "empty.lock"
    lock.write_text("# nothing\n")
    monkeypatch.setattr(install, "LOCKS", tmp_path)
    monkeypatch.setattr(install, "CACHE", tmp_path / "cache")
    (tmp_path / "cache" / "empty").mkdir(parents=True)
    stamp = tmp_path / "cache" / "empty" / ".installed"
    stamp.write_text(install._fingerprint("empty"))
    assert install.is_installed("empty")
    # When the lock changes
    lock.write_text("# something else\n")
    # Then it has to be made again
    assert not install.is_installed("empty")


@pytest.mark.parametrize("lock", sorted(install.LOCKS.glob("*.lock")), ids=lambda lock: lock.stem)
def test_locks_hold_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith(" ")]
    assert pins
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text


def test_the_node_lock_holds_hashes_and_no_address() -> None:
    packages = json.loads((install.BULLMQ / "package-lock.json").read_text())["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert {"node_modules/bullmq", "node_modules/ioredis"} <= set(installed)
    assert all(package["integrity"] for package in installed.values())
    assert not any("resolved" in package for package in installed.values())
