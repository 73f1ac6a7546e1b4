"""Benchmarks measure what they say, on a server of their own, and print nothing but figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from benchmarks import common

ROOT = Path(__file__).resolve().parents[2]


def test_contenders_take_turns_after_a_warm_up_that_does_not_count() -> None:
    # Given two contenders that write down when they are called
    calls: list[str] = []
    answers = {"one": iter([1e9, 10.0, 30.0, 20.0]), "two": iter([1e9, 1.0, 3.0, 2.0])}

    def turn(name: str) -> float:
        calls.append(name)
        return next(answers[name])

    # When three rounds are run
    figures = common.side_by_side(
        {"one": lambda: turn("one"), "two": lambda: turn("two")}, rounds=3
    )
    # Then they alternate, and the medians are of the rounds alone
    assert calls == ["one", "two"] * 4
    assert figures == {"one": 20.0, "two": 2.0}


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([7.0], {"p50": 7.0, "p99": 7.0}),
        ([float(n) for n in range(100, 0, -1)], {"p50": 51.0, "p99": 100}),
    ],
)
def test_percentiles(values: list[float], shown: dict[str, float]) -> None:
    assert common.percentiles(values, 50, 99) == shown


def test_a_benchmark_has_a_server_of_its_own_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given an environment that would change what is measured
    monkeypatch.setenv("GODEL_CLAIM_BATCH", "1")
    here = Path.cwd()
    # When a benchmark runs
    with common.own_server() as server:
        # Then it sees its own server and nothing of that
        assert os.environ["GODEL_REDIS_URL"] == server.url
        assert "GODEL_CLAIM_BATCH" not in os.environ
        with redis.Redis.from_url(server.url) as client:
            assert client.dbsize() == 0
        folder = Path(os.environ["GODEL_DATA_DIR"])
    # And everything is as it was
    assert not server.alive()
    assert not folder.exists()
    assert Path.cwd() == here
    assert os.environ["GODEL_CLAIM_BATCH"] == "1"
    assert "GODEL_REDIS_URL" not in os.environ


@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        (
            ["benchmarks.submit", "--rounds", "1", "--delays", "20", "--bulk", "600"],
            {"godel_delay_per_s", "celery_delay_per_s", "ratio", "bulk_per_s", "calibration"},
        ),
        (["benchmarks.calibrate"], {"score", "redis_pings_per_s"}),
    ],
    ids=["submit", "calibrate"],
)
def test_it_prints_one_json_object(arguments: list[str], figures: set[str]) -> None:
    command = [sys.executable, "-W", "error", "-m", *arguments, "--json"]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert figures <= set(report)
    assert all(report[name] for name in figures)
