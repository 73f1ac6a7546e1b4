"""Settings: where they come from, and how everything that is wrong with them is told at once."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.errors import SettingsError
from godel_tasks.settings import Settings, load_settings

UNKNOWN = "expected the name of a setting"
EXAMPLE = Path(__file__).parent.parent / "config" / "godel.toml.example"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting in the environment, no file in the working folder."""
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def problems(**given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    return caught.value.problems


def test_without_any_setting_the_defaults_are_in_force() -> None:
    settings = load_settings()
    assert settings.redis_url == settings.broker_url == ""
    assert settings.data_dir == Path.home() / ".godel"
    assert (settings.renew_every_ms, settings.lease_safety_ms, settings.lease_ms) == (
        750,
        2000,
        3000,
    )


def test_code_wins_over_environment_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the file in its usual place, and one of its keys in the environment too
    Path("config").mkdir()
    Path("config/godel.toml").write_text('cells = 2\nregion = "eu"\nmax_attempts = 9\n')
    monkeypatch.setenv("GODEL_REGION", "us")
    # When a third is given in code
    settings = load_settings(max_attempts=1)
    # Then each comes from the strongest place that has it
    assert (settings.cells, settings.region, settings.max_attempts) == (2, "us", 1)


def test_the_file_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("cells = 3")
    monkeypatch.setenv("GODEL_CONFIG", str(tmp_path / "mine.toml"))
    assert load_settings().cells == 3


def test_celerys_own_names_count_where_ours_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker/0")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://results/0")
    monkeypatch.setenv("GODEL_RESULT_URL", "redis://ours/0")
    settings = load_settings()
    assert (settings.broker_url, settings.result_url) == ("redis://broker/0", "redis://ours/0")


def test_an_empty_name_in_the_environment_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given what `${CELLS:-}` in a compose file leaves
    monkeypatch.setenv("GODEL_CELLS", "")
    assert load_settings().cells == 1


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given mistakes of every kind, in both places
    Path("config").mkdir()
    Path("config/godel.toml").write_text('log_fromat = "json"\nclaim_batch = 0\n')
    monkeypatch.setenv("GODEL_CELLS", "many")
    monkeypatch.setenv("GODEL_REDISURL", "redis://x")
    monkeypatch.setenv("GODEL_ON_UNCERTAIN", "retri")
    monkeypatch.setenv("GODEL_LEASE_MS", "1000")
    # Then each is told with key, expected, given and nearest legal name
    assert sorted(problems()) == [
        "GODEL_CELLS: expected a whole number from 1 to 64, got 'many'",
        "GODEL_LEASE_SAFETY_MS: expected less than lease_ms (1000), got 2000",
        "GODEL_ON_UNCERTAIN: expected one of retry, hold, fail, got 'retri'; did you mean 'retry'?",
        f"GODEL_REDISURL: {UNKNOWN}; did you mean 'GODEL_REDIS_URL'?",
        "claim_batch in config/godel.toml: expected a whole number from 1 to 1000, got 0",
        f"log_fromat in config/godel.toml: {UNKNOWN}; did you mean 'log_format'?",
    ]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"renew_every_ms": 2000},
            "renew_every_ms: expected less than lease_safety_ms (2000), got 2000",
        ),
        (
            {"instance_lease_ms": 1000},
            "GODEL_HEARTBEAT_EVERY_MS: expected less than instance_lease_ms (1000), got 1000",
        ),
        (
            {"backoff_max_s": 0.25},
            "GODEL_BACKOFF_BASE_S: expected at most backoff_max_s (0.25), got 0.5",
        ),
        ({"ageing_step_s": "nan"}, "ageing_step_s: expected a number above 0, got 'nan'"),
        ({"cell": 2}, "cell: expected the name of a setting; did you mean 'cells'?"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, Any], line: str) -> None:
    assert problems(**given) == [line]


def test_a_wrong_url_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://user:secret@host/")
    (line,) = problems()
    assert line.startswith("CELERY_BROKER_URL: expected a URL that starts with redis://")
    assert line.endswith("got 'amqp://***@host/'")


def test_settings_do_not_show_the_password() -> None:
    assert "secret" not in repr(load_settings(redis_url="redis://:secret@host/0"))


def test_a_missing_or_broken_file_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GODEL_CONFIG", "gone.toml")
    assert problems() == ["GODEL_CONFIG: expected a TOML file, got gone.toml: no file"]
    Path("gone.toml").write_text("cells = ")
    (line,) = problems()
    assert line.startswith("gone.toml: expected a TOML file, got: Invalid value")


def test_the_example_file_names_every_setting_with_its_default() -> None:
    # Given the example with every key uncommented
    lines = EXAMPLE.read_text().splitlines()
    keys = [line for line in lines if line[:1] == "#" and line[1:2].isalpha()]
    values = tomllib.loads("\n".join(line[1:] for line in keys))
    # Then it is the defaults, key by key, and each key has a comment above it
    assert list(values) == list(Settings.model_fields)
    assert Settings(**values) == Settings()
    assert all(lines[lines.index(key) - 1][:2] == "# " for key in keys)
