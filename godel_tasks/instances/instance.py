"""The `Instance` contract, the roadmap's `IOpenClawInstance` member by member.

Plural implementations stand in `drivers/`. One contract suite runs over every driver
(tests/instances/test_contract.py).

A driver keeps one `Connection` per endpoint: everything that a dispatcher sends to the instances
behind that endpoint goes over it in batches. `Instance` is the view of one instance on top of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from godel_tasks.domain.attempt import Completion, Delivery, Progress
from godel_tasks.domain.instance import (
    HealthStatus,
    InstanceConfig,
    InstanceMetrics,
    WorkProbe,
)
from godel_tasks.domain.session import Session, SessionConfig


class TaskHandle(Protocol):
    """What `submit_task` returns: the running attempt."""

    @property
    def key(self) -> str:
        """`<task_id>:<attempt>`."""
        ...

    async def result(self) -> Completion:
        """Wait for the end. Never raises for an attempt's own failure."""
        ...


class Instance(ABC):
    """One agent server."""

    @property
    @abstractmethod
    def instance_id(self) -> str: ...

    @property
    @abstractmethod
    def endpoint(self) -> str: ...

    @property
    @abstractmethod
    def workspace_dir(self) -> str: ...

    @abstractmethod
    async def start(self) -> None:
        """Ask the instance's provider to start it.

        Raises:
            Unsupported: its provider is `static`.
        """

    @abstractmethod
    async def stop(self) -> None:
        """As `start`, to stop it."""

    @abstractmethod
    async def restart(self) -> None:
        """As `start`, to restart it."""

    @abstractmethod
    async def health_check(self) -> HealthStatus:
        """Never raises: an instance that cannot be reached is `unhealthy`, with the error."""

    async def work_probe(self, limit_s: float) -> WorkProbe | None:  # noqa: ARG002 - the contract
        """Have it run a no-op where attempts run, and wait up to `limit_s` for that. None: the
        driver, or the instance, cannot say.

        Raises:
            InstanceUnavailable: it cannot be reached.
        """
        return None

    @abstractmethod
    async def get_metrics(self) -> InstanceMetrics:
        """What is not known is None.

        Raises:
            InstanceUnavailable: it cannot be reached.
        """

    @abstractmethod
    async def submit_task(self, delivery: Delivery) -> TaskHandle:
        """Start an attempt, or attach to it when the instance knows its key already.

        Raises:
            InstanceUnavailable: it cannot be reached; the attempt was not sent.
        """

    @abstractmethod
    async def cancel_task(self, task_id: str) -> None:
        """Ask the instance to stop the attempt that it runs for this task; idempotent. The end is
        confirmed by the handle's completion.

        Raises:
            InstanceUnavailable: it cannot be reached.
        """

    @abstractmethod
    async def create_session(self, config: SessionConfig) -> Session: ...

    @abstractmethod
    async def get_session(self, session_id: str) -> Session | None: ...

    @abstractmethod
    async def terminate_session(self, session_id: str) -> None:
        """Idempotent: an unknown session is no error."""

    async def forget_session(self, tenant_id: str, session_id: str) -> None:
        """As `terminate_session`, of that tenant's session only. Idempotent."""
        found = await self.get_session(session_id)
        if found is not None and found.tenant_id in ("", tenant_id):
            await self.terminate_session(session_id)

    @abstractmethod
    async def aclose(self) -> None:
        """Close what this view opened; idempotent."""


class ConnectionListener(Protocol):
    """Who is told what comes back over a connection. Called on the event loop; must not block."""

    def on_completions(self, completions: Sequence[Completion]) -> None:
        """Ends of attempts, in the order the instances sent them."""
        ...

    def on_progress(self, progress: Progress) -> None:
        """What an attempt has said so far; by drivers that can tell, as often as it changes."""
        ...

    def on_connected(self, endpoint: str) -> None:
        """The connection stands (again)."""
        ...

    def on_disconnected(self, endpoint: str, error: str) -> None:
        """The connection broke. Attempts under way are neither lost nor settled yet: the
        connection keeps trying to come back, and the dispatcher decides by the registry."""
        ...


class Connection(ABC):
    """One dispatcher's way to the instances behind one endpoint.

    Starts and stops by the common contract: idempotent, stop before start is safe, stop waits.
    It reconnects by itself with backoff until it is stopped. `stop` tells the listener nothing.
    """

    @property
    @abstractmethod
    def endpoint(self) -> str: ...

    @property
    @abstractmethod
    def connected(self) -> bool: ...

    @property
    @abstractmethod
    def boot_id(self) -> str:
        """Whom it is (or was last) connected to; "" before the first time. Another boot id after a
        reconnect means that the process behind the endpoint started anew and has forgotten its
        attempts."""
        ...

    @property
    def problem(self) -> str:
        """Why it is not connected, as far as that is known; else ""."""
        return ""

    @abstractmethod
    async def start(self) -> None:
        """Begin to connect; returns at once."""

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send attempts, batched. An attempt whose key the instance knows is not run again: its
        completion (now, or when it ends) comes over this connection instead. So sending the same
        attempt again after a reconnect or by another dispatcher is how a run is adopted. A key
        whose completion was acknowledged (or kept for ten minutes in vain) is answered with LOST:
        it ran once, and does not run again under that key. A REJECTED attempt may be sent again.

        Raises:
            InstanceUnavailable: not connected; nothing was sent.
        """

    @abstractmethod
    def cancel(self, instance_id: str, keys: Sequence[str]) -> None:
        """Ask for attempts to be stopped; each is confirmed by its completion, which whoever
        delivered it gets as well. Unknown keys are answered with a REJECTED completion. Does
        nothing while disconnected."""

    @abstractmethod
    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        """These completions are settled; the instance may forget them."""

    @abstractmethod
    async def inventory(self, instance_id: str) -> frozenset[str]:
        """Keys of the attempts that the instance runs right now.

        Raises:
            InstanceUnavailable: it cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class Probe:
    """What an attended instance says of itself. `accepting` is False while it takes nothing new."""

    health: HealthStatus
    metrics: InstanceMetrics
    accepting: bool = True


class AttendedConnection(Connection):
    """A connection to an instance that does not register and sends no heartbeats: dispatchers do it
    for the instance (dispatch/attendant.py), by what this connection sees."""

    @abstractmethod
    def silent_s(self) -> float:
        """Seconds since the instance was last heard of, whatever it sent."""

    @property
    @abstractmethod
    def refused(self) -> bool:
        """Nobody listens at the endpoint: the process is not there. False while not known."""

    @abstractmethod
    async def probe(self, instance_id: str) -> Probe:
        """Ask how it is.

        Raises:
            InstanceUnavailable: it cannot be reached, or did not answer in time.
        """

    @abstractmethod
    async def abort_strays(self) -> int:
        """Stop every run of ours that the instance took up by itself when it started anew; how
        many there were. Before a new boot is given work, and never after.

        Raises:
            InstanceUnavailable: it cannot be reached, or some run would not stop.
        """


class Driver(ABC):
    """How to talk to a kind of instance."""

    #: As the registry's `driver` field names it.
    name: str
    #: Its instances register and send heartbeats by themselves. Where they do not, connections are
    #: `AttendedConnection`s.
    self_registering: bool = True

    @abstractmethod
    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        """A connection to the endpoint of this instance (and of those that share it), not started
        yet."""

    @abstractmethod
    def instance(self, config: InstanceConfig) -> Instance:
        """The `Instance` view, for probes, the CLI and direct use. It connects by itself when it
        is first used and is closed with `await instance.aclose()`."""
