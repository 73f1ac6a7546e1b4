"""Every setting, its unit, its default and its limits.

A setting comes from the environment (`GODEL_` + its name in capitals), else from a TOML file (named
by `GODEL_CONFIG`; `config/godel.toml` if that exists), else from the default below. Celery's own
`CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND` count where the `GODEL_` name is not set.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from godel_tasks import settings_problems as problems
from godel_tasks.errors import SettingsError

PREFIX = "GODEL_"
DEFAULT_FILE = Path("config/godel.toml")
#: Celery's names for two of our settings.
CELERY_NAMES = {"broker_url": "CELERY_BROKER_URL", "result_url": "CELERY_RESULT_BACKEND"}
STORE_SCHEMES = ("redis", "rediss", "unix", "redis+socket")
CELERY_SCHEMES = (*STORE_SCHEMES, "sentinel")


def _scheme(schemes: tuple[str, ...]) -> AfterValidator:
    def check(url: str) -> str:
        if url and urlsplit(url).scheme not in schemes:
            raise problems.WrongKind(f"a URL that starts with {_urls(schemes)}")
        return url

    return AfterValidator(check)


def _urls(schemes: tuple[str, ...]) -> str:
    return ", ".join(f"{scheme}://" for scheme in schemes)


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


StoreUrl = Annotated[str, _scheme(STORE_SCHEMES)]
CeleryUrl = Annotated[str, _scheme(CELERY_SCHEMES)]
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Milliseconds = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
]


class Settings(BaseSettings):
    """One immutable set of settings. Make it with `load_settings()`, whose errors are readable."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_default=True
    )

    # Where things are. Empty URLs: state, broker and result are on redis_url, and redis_url is the
    # embedded server that runs on data_dir. They may hold a password, so no repr shows them.
    redis_url: StoreUrl = Field(default="", repr=False)
    state_url: StoreUrl = Field(default="", repr=False)
    broker_url: CeleryUrl = Field(default="", repr=False)
    result_url: CeleryUrl = Field(default="", repr=False)
    data_dir: Folder = Path("~/.godel")
    region: str = ""

    # The store.
    cells: int = Field(default=1, ge=1, le=64)
    payload_limit_bytes: int = Field(default=262_144, ge=1, le=67_108_864)
    result_expires_s: Seconds = 3600

    # A task's way.
    strategy: str = Field(default="least-loaded", min_length=1)
    region_order: str = ""
    max_attempts: Count = 3
    attempt_timeout_s: Seconds = 900
    backoff_base_s: Seconds = 0.5
    backoff_max_s: Seconds = 60
    on_uncertain: Literal["retry", "hold", "fail"] = "retry"
    unroutable_after_s: Seconds = 600
    ageing_step_s: Seconds = 60
    eager_handler: str = ""
    session_ttl_s: Seconds = 86_400

    # A dispatcher.
    max_in_flight: Count = 4000
    claim_batch: int = Field(default=256, ge=1, le=1000)
    lease_ms: Milliseconds = 3000
    renew_every_ms: Milliseconds = 750
    lease_safety_ms: Milliseconds = 2000
    drain_timeout_s: Seconds = 30
    unreachable_after_s: Seconds = 6
    flower_tasks_per_s: float = Field(default=500, ge=0, allow_inf_nan=False)

    # Circuit breakers of instances, and of the providers behind them.
    instance_breakers: bool = True
    provider_breakers: bool = True
    breaker_window_s: float = Field(default=60, ge=0.1, le=86_400)
    breaker_min_calls: Count = 5
    breaker_failure_rate: float = Field(default=0.5, gt=0, le=1)
    breaker_slow_call_s: float = Field(default=0, ge=0, allow_inf_nan=False)
    breaker_quorum: int = Field(default=2, ge=1, le=1000)
    breaker_open_s: float = Field(default=5, gt=0, le=43_200)
    breaker_max_open_s: float = Field(default=300, gt=0, le=43_200)
    breaker_half_open_permits: int = Field(default=3, ge=1, le=1000)
    breaker_success_threshold: int = Field(default=2, ge=1, le=1000)

    # Clients that send submit_task by name.
    intake_queue: str = Field(default="godel.intake", min_length=1)
    intake_patience_s: float = Field(default=15, ge=0, allow_inf_nan=False)

    # An instance.
    heartbeat_every_ms: Milliseconds = 1000
    instance_lease_ms: Milliseconds = 3000

    # The provider kubernetes. Empty: the namespace that this process or its kubeconfig is in.
    kubernetes_namespace: str = ""

    # Health.
    probe_every_s: Seconds = 5
    probe_timeout_s: Seconds = 2
    zombie_after_s: Seconds = 8
    mass_loss_share: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False)
    mass_loss_grace_s: Seconds = 15

    # Logs.
    log_level: LogLevel = "INFO"
    log_format: Literal["console", "json"] = "console"

    @property
    def regions(self) -> tuple[str, ...]:
        """Where to go first: our own region, then those of `region_order`."""
        names = [self.region, *self.region_order.split(",")]
        return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        # A dispatcher must have stopped delivering (safety) before anybody may reap it (lease), and
        # must have had a chance to renew before that.
        wrong = problems.out_of_order(self, "renew_every_ms", "lease_safety_ms", "lease_ms")
        wrong += problems.out_of_order(self, "heartbeat_every_ms", "instance_lease_ms")
        if self.backoff_base_s > self.backoff_max_s:
            wrong.append(
                "backoff_base_s: expected at most backoff_max_s "
                f"({self.backoff_max_s:g}), got {self.backoff_base_s:g}"
            )
        if wrong:
            raise problems.Disagreement(wrong)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (pydantic's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, then the environment, then Celery's names, then the file."""
        celery = {key: os.environ[env] for key, env in CELERY_NAMES.items() if os.environ.get(env)}
        return (
            init_settings,
            env_settings,
            InitSettingsSource(settings_cls, init_kwargs=celery),
            InitSettingsSource(settings_cls, init_kwargs=_legal(_read_file()[0])),
        )


def load_settings(**given: Any) -> Settings:
    """The settings in force; `given` ones win over environment and file.

    Raises `SettingsError` with every problem there is, a line each.
    """
    in_file, found = _read_file()
    legal = list(Settings.model_fields)
    found += problems.unknown_names(os.environ, PREFIX, legal=legal)
    found += problems.unknown_keys(in_file, _file_path(), legal=legal)
    origin = problems.Origin(PREFIX, CELERY_NAMES, os.environ, given, in_file, _file_path())
    settings = None
    try:
        settings = Settings(**given)
    except ValidationError as error:
        found += problems.lines(error, Settings, origin)
        found += _hidden_behind(error, given, origin)
    if found or settings is None:
        raise SettingsError(found)
    return settings


def _hidden_behind(
    error: ValidationError, given: dict[str, Any], origin: problems.Origin
) -> list[str]:
    """What the other settings disagree about, which pydantic does not check while one is wrong."""
    wrong = {str(item["loc"][0]) for item in error.errors() if item["loc"]}
    if not wrong:
        return []
    defaults = {key: field.default for key, field in Settings.model_fields.items() if key in wrong}
    try:
        Settings(**{**_legal(given), **defaults})
    except ValidationError as rest:
        return problems.lines(rest, Settings, origin)
    return []


def _legal(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in Settings.model_fields}


def _file_path() -> Path:
    return Path(os.environ.get("GODEL_CONFIG") or DEFAULT_FILE).expanduser()


def _read_file() -> tuple[dict[str, Any], list[str]]:
    path = _file_path()
    try:
        return tomllib.loads(path.read_text()), []
    except FileNotFoundError:
        asked_for = bool(os.environ.get("GODEL_CONFIG"))
        return {}, [f"GODEL_CONFIG: expected a TOML file, got {path}: no file"] if asked_for else []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [f"{path}: expected a TOML file, got: {error}"]
