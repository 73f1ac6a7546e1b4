"""What a gateway is told: its `openclaw.json` and its environment.

Slim: no bundled plugins, no channels, no update check, no hosted model catalog, and no cron, whose
heartbeat would call the model by itself every half an hour. Everything that it writes stays in its
own folder, but for lock files, which it insists on having in /tmp (`lock_files`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.errors import InstanceError
from godel_tasks.openclaw.folder import Folder

#: The name that the model's key has in the gateway's environment, whatever it is called in ours.
KEY_VARIABLE = "GATEWAY_MODEL_KEY"
PROVIDER = "godel"
#: What OpenClaw wants where a server asks for no key.
NO_KEY = "none"
#: What goes on to the gateway from our environment. Not the rest: an agent can read all of it.
PASSED_ON = re.compile(
    r"PATH|LANG|LC_\w+|TZ|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|"
    r"(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY"
)
_OPENCLAW = {
    "OPENCLAW_DISABLE_BONJOUR": "1",
    "OPENCLAW_NO_RESPAWN": "1",  # an update would be handed to a child that we do not know
    "OPENCLAW_SKIP_CHANNELS": "1",
    "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
    "OPENCLAW_NO_AUTO_UPDATE": "1",
    "OPENCLAW_OFFLINE": "1",  # or it downloads helper programs
}


@dataclass(frozen=True, slots=True)
class Model:
    """Which model a gateway's agents use, behind an OpenAI-compatible URL. `key` is a reference,
    `env:NAME`, or "" for none; prices are per million tokens, in the operator's currency."""

    url: str
    name: str
    key: str = ""
    price_in: float = 0.0
    price_out: float = 0.0
    standin: bool = False
    context_tokens: int = 128_000
    answer_tokens: int = 8_192


@dataclass(frozen=True, slots=True)
class Spec:
    """One gateway, as `gateway.json` keeps it. `capacity` is how many turns it runs at once; port 0
    is one that is chosen yet."""

    instance_id: str
    model: Model
    capacity: int = 8
    region: str = ""
    pool: str = DEFAULT_POOL
    port: int = 0


def config(spec: Spec, folder: Folder, token: str) -> dict[str, Any]:
    """The gateway's `openclaw.json`. It holds the token, of the model's key a reference."""
    model = spec.model
    return {
        "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": spec.port,
            "auth": {"mode": "token", "token": token},
            "controlUi": {"enabled": False},
        },
        "logging": {
            "file": str(folder.log),
            "level": "info",
            "consoleLevel": "warn",
            "maxFileBytes": 10_000_000,
        },
        "models": {
            "mode": "replace",
            "catalogRefresh": {"enabled": False},  # or it asks catalog.openclaw.ai at each start
            "providers": {
                PROVIDER: {
                    "baseUrl": model.url,
                    "apiKey": "${" + KEY_VARIABLE + "}" if model.key else NO_KEY,
                    "api": "openai-completions",
                    "models": [
                        {
                            "id": model.name,
                            "name": model.name,
                            "reasoning": False,
                            "input": ["text"],
                            "cost": {
                                "input": model.price_in,
                                "output": model.price_out,
                                "cacheRead": 0,
                                "cacheWrite": 0,
                            },
                            "contextWindow": model.context_tokens,
                            "maxTokens": model.answer_tokens,
                        }
                    ],
                }
            },
        },
        "agents": {
            "defaults": {
                "workspace": str(folder.workspace),
                "model": {"primary": f"{PROVIDER}/{model.name}"},
                "skipBootstrap": True,
                "maxConcurrent": spec.capacity,
            }
        },
        "plugins": {"enabled": False},
        "update": {"checkOnStart": False},
        "cron": {"enabled": False},
    }


def environment(spec: Spec, folder: Folder, ours: Mapping[str, str]) -> dict[str, str]:
    """The gateway's whole environment.

    Raises:
        InstanceError: the variable with the model's key is not set.
    """
    env = {name: value for name, value in ours.items() if PASSED_ON.fullmatch(name)}
    if spec.model.key:
        env[KEY_VARIABLE] = key_value(spec.model.key, ours)
    return {
        **env,
        **_OPENCLAW,
        "HOME": str(folder.home),
        "TMPDIR": str(folder.tmp),
        folder.MARK: str(folder.state),
        "OPENCLAW_CONFIG_PATH": str(folder.config),
    }


def key_value(reference: str, ours: Mapping[str, str]) -> str:
    """The key that `env:NAME` refers to.

    Raises:
        InstanceError: no such reference, or the variable is not set.
    """
    kind, _, name = reference.partition(":")
    if kind != "env" or not name:
        # Not shown again: it may be the key itself.
        raise InstanceError(
            "the model's key must be given as a reference, env:NAME",
            hint="export the key as a variable and name that: --model-key env:MODEL_KEY",
        )
    if not ours.get(name):
        raise InstanceError(
            f"the model's key is in the variable {name}, which is not set here",
            hint=f"export {name} and try again",
        )
    return ours[name]


def lock_files(folder: Folder) -> list[Path]:
    """The (empty) files that OpenClaw keeps outside the folder, in a place that cannot be set.
    Their names carry a hash of a database's path: these are this gateway's, no other's."""
    databases = {folder.state / "state" / "openclaw.sqlite", *folder.state.rglob("*.sqlite")}
    tags = {hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8] for path in databases}
    place = Path(f"/tmp/openclaw-state-locks-{os.getuid()}")  # noqa: S108 - OpenClaw's choice
    return sorted(path for tag in tags for path in place.glob(f"*.{tag}.lock.sqlite"))
