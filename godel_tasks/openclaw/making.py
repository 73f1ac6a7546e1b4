"""Gateways that a provider makes for a pool.

Beside what `godel openclaw start` writes into a gateway's folder (folder.py) there are then two
files, written first: `owner` (owner.py), and `template.json`, what it was made from. A gateway
without them was made by a person.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import InstanceError, Unsupported
from godel_tasks.instances.providers.options import Options
from godel_tasks.openclaw import gateways, processes
from godel_tasks.openclaw.flock import locked_async
from godel_tasks.openclaw.folder import Folder, folder_of, root_of, write_private
from godel_tasks.openclaw.logs import last_words
from godel_tasks.openclaw.owner import OWNER, is_of
from godel_tasks.openclaw.running import Command, Gateway, Patience, gateway_command
from godel_tasks.openclaw.template import Model, Spec

#: Options of templates of provider `process` and driver `openclaw`.
KNOWN = frozenset(
    {"model_url", "model", "model_key", "price_in", "price_out", "standin", "ready_s", "stop_s"}
)
#: What the stand-in calls its model.
STANDIN_MODEL = "standin"
#: Starting is work for a whole core, for ten seconds.
AT_ONCE = 2


def read(template: InstanceTemplate) -> Model:
    """The model that the options choose.

    Raises:
        InvalidPool: with every problem there is.
    """
    options = Options(template, KNOWN)
    standin, url = options.text("standin"), options.text("model_url")
    options.number("ready_s", Patience().ready_s, least=0.1)
    options.number("stop_s", Patience().stop_s)
    model = Model(
        (standin or url).rstrip("/"),
        options.text("model", STANDIN_MODEL if standin else ""),
        options.text("model_key"),
        options.number("price_in", 0.0),
        options.number("price_out", 0.0),
        standin=bool(standin),
    )
    if bool(standin) == bool(url):
        options.problems.append("model_url, standin: expected one of the two, a URL with /v1")
    if url and not model.name:
        options.problems.append("model: missing; say which of that server's")
    if model.key and not re.fullmatch(r"env:\w+", model.key):
        # Not shown: it may be the key itself. Whether it is set is seen where the gateway starts.
        options.problems.append("model_key: expected a reference, env:NAME")
    for name in template.options:
        if name.startswith("env:"):
            options.problems.append(f"{name}: a gateway is given no other variables")
    options.done()
    return model


@dataclass(frozen=True, slots=True)
class Gateways:
    """As `Provider` has it, by instance id; of one data folder."""

    data_dir: Path
    owner: str
    command: Command = gateway_command
    patience: Patience = field(default_factory=Patience)
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def check(self, template: InstanceTemplate) -> None:
        read(template)

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        model = read(template)
        folder = folder_of(self.data_dir, instance_id)
        known = _read_template(folder)
        if known is None and folder.spec.exists():
            raise InstanceError(
                f"a gateway {instance_id!r} is in {root_of(self.data_dir)} already, made by hand",
                hint="choose another name for the pool, or remove that gateway",
            )
        async with self._turn:
            try:
                if known is None:
                    folder.make()
                    write_private(folder.path / OWNER, self.owner + "\n")
                    write_private(_template_file(folder), asdict(template))
                # Two who make the same one make it once: the second would give it another port.
                async with locked_async(folder.lock):
                    if not folder.spec.exists():
                        made = known or template
                        spec = Spec(instance_id, model, made.capacity, made.region, made.pool)
                        await asyncio.to_thread(gateways.create, self.data_dir, spec)
                await self.one(instance_id).start()
            except BaseException:
                if known is None:
                    gateways.remove(self.data_dir, instance_id)
                raise

    async def start(self, instance_id: str) -> None:
        gateway = self.one(instance_id)
        async with self._turn:
            await gateway.start()

    async def stop(self, instance_id: str) -> None:
        await self.one(instance_id).stop()

    async def kill(self, instance_id: str) -> None:
        await self.one(instance_id).kill()

    async def remove(self, instance_id: str, grace_s: float | None) -> None:
        folder = folder_of(self.data_dir, instance_id)
        if not folder.path.exists():
            return
        if _read_template(folder) is None and folder.spec.exists():
            raise Unsupported(
                f"gateway {instance_id!r} was made by hand, and stays",
                hint=f"remove it with `godel openclaw stop {instance_id} --remove`",
            )
        if folder.spec.exists():
            gateway = self.one(instance_id)
            if grace_s is not None:
                gateway = replace(gateway, patience=replace(gateway.patience, stop_s=grace_s))
            await (gateway.kill() if grace_s == 0 else gateway.stop())
        gateways.remove(self.data_dir, instance_id)

    async def provided(self) -> list[ProvidedInstance]:
        root = root_of(self.data_dir)
        owned = sorted(path.parent for path in root.glob(f"*/{OWNER}"))
        folders = [Folder(path) for path in owned if is_of(path, self.owner)]
        return [self._provided(folder, _read_template(folder)) for folder in folders]

    def last_words(self, instance_id: str) -> str:
        return last_words(folder_of(self.data_dir, instance_id))

    async def tend(self) -> int:
        return 0  # a gateway cuts its log itself

    def one(self, instance_id: str) -> Gateway:
        """Raises: UnknownInstance."""
        folder = folder_of(self.data_dir, instance_id)
        return Gateway(
            gateways.find(self.data_dir, instance_id),
            folder,
            command=self.command,
            patience=_patience(self.patience, _read_template(folder)),
        )

    def _provided(self, folder: Folder, template: InstanceTemplate | None) -> ProvidedInstance:
        if template is None:
            return ProvidedInstance(folder.instance_id, "", running=False)
        main = processes.main_process(folder)
        config: InstanceConfig | None = None
        if folder.spec.exists():
            spec = gateways.find(self.data_dir, folder.instance_id)
            config = replace(
                gateways.instance_config(self.data_dir, spec),
                capabilities=template.capabilities,
            )
        return ProvidedInstance(
            folder.instance_id,
            template.pool,
            running=main is not None,
            detail=f"pid {main.pid}" if main else "",
            config=config,
        )


def _patience(default: Patience, template: InstanceTemplate | None) -> Patience:
    given = template.options if template else {}
    own = {name: float(given[name]) for name in ("ready_s", "stop_s") if given.get(name)}
    return replace(default, **own)


def _template_file(folder: Folder) -> Path:
    return folder.path / "template.json"


def _read_template(folder: Folder) -> InstanceTemplate | None:
    try:
        return InstanceTemplate(**json.loads(_template_file(folder).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
