"""OpenclawConnection: one dispatcher's way to one gateway."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from random import Random

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.attempt import Delivery
from godel_tasks.domain.instance import Health, HealthStatus, InstanceConfig, InstanceMetrics
from godel_tasks.errors import (
    InstanceError,
    InstanceUnavailable,
    UnknownInstance,
)
from godel_tasks.instances.drivers.backoff import Backoff
from godel_tasks.instances.drivers.openclaw import frames
from godel_tasks.instances.drivers.openclaw.adoption import running_tasks
from godel_tasks.instances.drivers.openclaw.credentials import keep_device_token, resolve
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway, NobodyListens
from godel_tasks.instances.drivers.openclaw.health import health_of, main_lane, metrics_of
from godel_tasks.instances.drivers.openclaw.keeper import RunKeeper
from godel_tasks.instances.drivers.openclaw.runs import RunBook
from godel_tasks.instances.drivers.openclaw.strays import abort_strays
from godel_tasks.instances.drivers.openclaw.turns import is_ours
from godel_tasks.instances.drivers.standing import StandingConnection
from godel_tasks.instances.instance import AttendedConnection, ConnectionListener, Probe

log = logging.getLogger(__name__)

#: A gateway that will not have us is asked again so rarely: somebody has to change something first.
REFUSED_AGAIN_S = 5.0
PROBE_TIMEOUT_S = 5.0


class OpenclawConnection(StandingConnection, AttendedConnection):
    """Everything goes over one WebSocket; requests are told apart by their ids."""

    def __init__(
        self,
        config: InstanceConfig,
        listener: ConnectionListener,
        scopes: tuple[str, ...],
        random: Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(config.endpoint)
        self.config = config
        self._listener = listener
        self._scopes = scopes
        self._backoff = Backoff(random or Random())
        self._clock = clock or SystemClock()
        self._gateway: Gateway | None = None
        self._boot_id = ""
        self._error = ""
        self._refused = False
        self._book = RunBook(config.instance_id)
        #: While a socket stands.
        self._keeper: RunKeeper | None = None

    def __repr__(self) -> str:
        if self._keeper is not None:
            drain = ", draining" if self._keeper.draining else ""
            state = f"connected to boot {self._boot_id[:8]}{drain}, {len(self._book.running)} runs"
        elif self._task is None:
            state = "stopped"
        else:
            state = f"connecting, try {self._backoff.tries}" + (
                f" ({self._error})" if self._error else ""
            )
        return f"<OpenclawConnection {self.endpoint} {state}>"

    @property
    def connected(self) -> bool:
        return self._gateway is not None

    @property
    def boot_id(self) -> str:
        return self._boot_id

    @property
    def problem(self) -> str:
        return "" if self.connected else self._error

    @property
    def refused(self) -> bool:
        return self._refused

    @property
    def gateway(self) -> Gateway:
        """Raises: InstanceUnavailable: not connected."""
        if self._gateway is None:
            raise self._not_connected()
        return self._gateway

    # -- the standing connection -------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, serve until it breaks, wait, again."""
        while True:
            try:
                credentials = resolve(self.config.credentials)
                gateway = await Gateway.connect(self.endpoint, credentials, self._scopes)
            except InstanceError as error:
                self._refused = isinstance(error, NobodyListens)
                self._tell(error)
                await self._clock.sleep(
                    self._backoff.next_s() if error.retryable else REFUSED_AGAIN_S
                )
                continue
            if gateway.hello.device_token:
                self._keep(gateway.hello.device_token)
            self._stands(gateway)
            self._error = await self._serve(gateway)
            await self._fall()
            self._listener.on_disconnected(self.endpoint, self._error)
            await self._clock.sleep(self._backoff.next_s())

    async def _serve(self, gateway: Gateway) -> str:
        """Until it breaks; why it broke. What nobody foresaw costs a connection, not the way to the
        gateway."""
        try:
            return await gateway.serve(self._on_event)
        except Exception as error:
            log.exception("the connection to %s broke", self.endpoint)
            return f"{type(error).__name__}: {error}"

    def _stands(self, gateway: Gateway) -> None:
        boot_id = gateway.hello.boot_id
        if boot_id != self._boot_id:
            self._book.clear()
        self._gateway, self._boot_id = gateway, boot_id
        self._keeper = RunKeeper(
            self.config.instance_id, gateway, self._book, self._listener, self._clock
        )
        self._refused = False
        self._error = ""
        self._backoff.reset()
        self._listener.on_connected(self.endpoint)

    async def _fall(self) -> None:
        keeper, self._keeper, self._gateway = self._keeper, None, None
        if keeper is not None:
            await keeper.close()

    def _keep(self, device_token: str) -> None:
        try:
            keep_device_token(self.config.credentials, device_token)
        except (OSError, InstanceError) as error:
            log.warning("the device token of %s is not kept: %s", self.config.instance_id, error)

    def _tell(self, error: InstanceError) -> None:
        """What a person has to change is logged, once."""
        text = str(error)
        if text != self._error and not error.retryable:
            log.warning("instance %s: %s", self.config.instance_id, text)
        self._error = text

    def _on_event(self, name: str, text: str) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        if name == "agent":
            if frames.is_word(text):
                keeper.on_word(text)
        elif name == "shutdown":
            keeper.draining = True

    # -- attempts ----------------------------------------------------------------------------

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self._standing().deliver(deliveries)

    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        if self._keeper is not None:
            self._keeper.cancel(instance_id, keys)

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        if instance_id == self.config.instance_id:
            self._book.acknowledge(keys)

    async def inventory(self, instance_id: str) -> frozenset[str]:
        if instance_id != self.config.instance_id:
            raise self._unknown(instance_id)
        try:
            tasks = await running_tasks(self.gateway)
        except CallFailed as error:  # it drains, and answers no questions
            raise InstanceUnavailable(str(error)) from None
        return frozenset(
            str(task["runId"])
            for task in tasks
            if task.get("runId") and is_ours(str(task.get("sessionKey", "")))
        )

    def _standing(self) -> RunKeeper:
        if self._keeper is None:
            raise self._not_connected()
        return self._keeper

    def _not_connected(self) -> InstanceUnavailable:
        why = f": {self._error}" if self._error else ""
        return InstanceUnavailable(f"{self.endpoint} is not connected{why}")

    def _unknown(self, instance_id: str) -> UnknownInstance:
        return UnknownInstance(f"no instance {instance_id!r} is behind {self.endpoint}")

    # -- attendance --------------------------------------------------------------------------

    def silent_s(self) -> float:
        return self._gateway.silent_s() if self._gateway else float("inf")

    async def probe(self, instance_id: str) -> Probe:
        if instance_id != self.config.instance_id:
            raise self._unknown(instance_id)
        gateway, keeper = self.gateway, self._standing()
        began = self._clock.monotonic()
        try:
            health = await gateway.call("health", timeout_s=PROBE_TIMEOUT_S)
            latency_ms = (self._clock.monotonic() - began) * 1000
            system = await gateway.call("system.info", timeout_s=PROBE_TIMEOUT_S)
            lanes = await gateway.call("diagnostics.lanes", timeout_s=PROBE_TIMEOUT_S)
        except CallFailed as error:
            if error.error.reason != "gateway-restarting":
                raise
            keeper.draining = True
            latency_ms = (self._clock.monotonic() - began) * 1000
            status = HealthStatus(Health.DEGRADED, latency_ms, "the gateway is draining")
            return Probe(status, InstanceMetrics(), accepting=False)
        counts = {"completed": self._book.completed, "failed": self._book.failed}
        accepting = not keeper.draining and not main_lane(lanes).get("draining")
        return Probe(
            health_of(health, latency_ms), metrics_of(health, system, lanes, **counts), accepting
        )

    async def abort_strays(self) -> int:
        return await abort_strays(self.gateway, self._clock)
