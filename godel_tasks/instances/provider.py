"""The `Provider` contract: how instances are made and unmade. Implementations in `providers/`.

One contract suite runs over every provider that can make instances (tests/providers).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NoReturn

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import Unsupported


class Provider(ABC):
    """Starts and stops the processes behind instances, and makes and removes them.

    Whoever makes instances through it is `fleet.InstanceManager`, which writes down what it makes
    before it does, waits until the instance is registered and healthy, and registers those whose
    driver's instances do not register by themselves. So a provider needs no store.
    """

    #: As the registry's `provider` field names it.
    name: str

    @property
    def place(self) -> str:
        """Where it looks: instances of another place are none of its business. "" for a provider
        that sees the same from everywhere; `<host>:<folder>` for one that sees a machine."""
        return ""

    def check(self, template: InstanceTemplate) -> None:
        """Look at a template without making anything; no I/O.

        Raises:
            Unsupported: this provider makes none, or none of this driver.
            InvalidPool: an option is unknown (with the nearest name), missing or wrong.
        """
        raise Unsupported(
            f"the provider {self.name!r} makes no instances, so pool {template.pool!r} can have "
            "no template of it",
            hint="use a provider that can: process, docker or kubernetes",
        )

    @abstractmethod
    async def start(self, config: InstanceConfig) -> None:
        """Start it; returns when it was started, not when it is registered. Idempotent.

        Raises:
            Unsupported: this provider cannot.
        """

    @abstractmethod
    async def stop(self, config: InstanceConfig) -> None:
        """As `start`, to stop it: it finishes what it runs, within its own limit of time."""

    @abstractmethod
    async def restart(self, config: InstanceConfig) -> None:
        """As `start`, to stop it and start it again."""

    def last_first(self, template: InstanceTemplate) -> bool:  # noqa: ARG002
        """Whether it gives up only the instance with the highest number at the end of its id (as a
        StatefulSet does), and refuses to remove any other one. No I/O."""
        return False

    async def next_id(self, template: InstanceTemplate) -> str:  # noqa: ARG002
        """The id that `spawn` takes next, where the provider names its instances itself (pods of a
        StatefulSet); "" where it takes any."""
        return ""

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        """Make an instance and start it; it registers under this id, or the manager registers it as
        `provided()` says. Idempotent by the id: one that is there already is left alone. An
        instance that registers by itself is to name this provider (`godel instance --provider`).

        Raises:
            Unsupported: this provider makes none.
            InvalidPool: as `check`.
            InstanceError: it could not be made; nothing of it is left behind, and the message has
                its last words.
        """
        self._cannot("make instances", template.pool, instance_id)

    async def remove(
        self,
        instance_id: str,
        *,
        grace_s: float | None = None,  # noqa: ARG002
    ) -> None:
        """Stop it and remove what it was made of; idempotent, and no error when it is unknown.

        It is asked to end and has `grace_s` seconds for it (None: its own limit; 0: it is ended at
        once). Whoever wants its work finished drains it first.

        Raises:
            Unsupported: this provider removes none.
        """
        self._cannot("remove instances", "", instance_id)

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:  # noqa: ARG002
        """The instances that this provider made (by `spawn`, no others), of one pool or of all;
        how a Godel that was started anew finds what runs already. What is only half made is among
        them, not running, so that it can be removed."""
        return ()

    async def last_words(self, instance_id: str) -> str:  # noqa: ARG002
        """The end of what it has printed, for errors about it; "" where nothing is known."""
        return ""

    async def tend(self) -> int:
        """What is to be done now and then for instances that run: logs that have grown are cut.
        Returns how many were."""
        return 0

    def _cannot(self, act: str, pool: str, instance_id: str) -> NoReturn:
        of_pool = f" of pool {pool!r}" if pool else ""
        raise Unsupported(
            f"the provider {self.name!r} cannot {act}: {instance_id!r}{of_pool} stays as it is",
            hint="use a provider that can: process, docker or kubernetes",
        )
