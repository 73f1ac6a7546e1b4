"""What a local instance is started as: its command line and its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.local.folder import LocalFolder
from godel_tasks.instances.providers.options import Options

#: Options of templates of provider `process` and driver `grpc`, beside `env:NAME`.
KNOWN = frozenset(
    {"handler", "cwd", "python", "python_path", "host", "advertise", "port", "inline", "journal"}
    | {"drain_timeout_s", "ready_s"}
)
#: It is there in 2 s on an idle core; many that start at once share the cores.
READY_S = 60.0
#: As the setting `drain_timeout_s`.
DRAIN_TIMEOUT_S = 30.0
#: As `python -m` has no module for it: the command of this very installation.
_GODEL = "from godel_tasks.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """A template's options, checked."""

    handler: str
    #: Where its handler stands; "" for the folder in which the provider runs.
    cwd: str
    python: str
    python_path: str
    host: str
    advertise: str
    #: 0: the system chooses one, anew at each start.
    port: int
    inline: bool
    journal: str
    drain_timeout_s: float
    ready_s: float
    env: Mapping[str, str]


def read(template: InstanceTemplate) -> LocalOptions:
    """Raises: InvalidPool with every problem there is."""
    options = Options(template, KNOWN)
    found = LocalOptions(
        handler=options.text("handler", required=True),
        cwd=options.text("cwd"),
        python=options.text("python", sys.executable),
        python_path=options.text("python_path"),
        host=options.text("host", "127.0.0.1"),
        advertise=options.text("advertise"),
        port=int(options.number("port", 0)),
        inline=options.flag("inline"),
        journal=options.text("journal"),
        drain_timeout_s=options.number("drain_timeout_s", DRAIN_TIMEOUT_S),
        ready_s=options.number("ready_s", READY_S, least=0.1),
        env=options.env(),
    )
    module, colon, function = found.handler.partition(":")
    if found.handler and not (module and colon and function):
        options.problems.append(f"handler: expected module:function, got {found.handler!r}")
    if found.cwd and not Path(found.cwd).is_absolute():
        options.problems.append(f"cwd: expected an absolute path, got {found.cwd!r}")
    if found.port > 65_535:
        options.problems.append(f"port: expected one up to 65535, got {found.port}")
    options.done()
    return found


def command(template: InstanceTemplate, options: LocalOptions, folder: LocalFolder) -> list[str]:
    """`godel instance`, with what it is told."""
    words = [
        *(options.python, "-c", _GODEL, "instance"),
        *("--id", folder.instance_id, "--handler", options.handler, "--provider", "process"),
        *("--capacity", str(template.capacity), "--pool", template.pool),
        *("--host", options.host, "--port", str(options.port)),
        *("--drain-timeout", f"{options.drain_timeout_s:g}", "--announce", str(folder.ready)),
    ]
    for name, value in sorted(template.capabilities.items()):
        words += ["--capability", f"{name}={value}"]
    optional = {
        "--region": template.region,
        "--advertise": options.advertise,
        "--journal": options.journal,
    }
    for name, value in optional.items():
        if value:
            words += [name, value]
    return [*words, "--inline"] if options.inline else words


def environment(
    options: LocalOptions, folder: LocalFolder, data_dir: Path, ours: Mapping[str, str]
) -> dict[str, str]:
    """Ours, the template's, and the mark. The folder that it runs in may not be ours, so that what
    we found by a relative path is named in full."""
    env = dict(ours)
    path = [options.python_path, ours.get("PYTHONPATH", "")]
    if any(path):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    config = Path(ours.get("GODEL_CONFIG") or "config/godel.toml").expanduser()
    if config.exists():
        env["GODEL_CONFIG"] = str(config.absolute())
    mark, value = folder.mark
    return {**env, "GODEL_DATA_DIR": str(data_dir), **options.env, mark: value}
