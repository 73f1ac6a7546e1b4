"""Links: one connection per endpoint, opened when it is first needed."""

from __future__ import annotations

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.reach import Reach
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import InstanceError
from godel_tasks.instances.instance import Connection, ConnectionListener


class Links:
    """Connections of one dispatcher, by endpoint. `reach` hears which are begun and given up; that
    one stands or broke is for the listener to tell it."""

    def __init__(self, ports: Ports, listener: ConnectionListener, reach: Reach) -> None:
        self._ports = ports
        self._listener = listener
        self._reach = reach
        self._connections: dict[str, Connection] = {}
        #: What each was opened with: driver, and the reference to its credentials.
        self._opened: dict[str, tuple[str, str]] = {}

    async def open(self, config: InstanceConfig) -> Connection:
        """The connection to an instance's endpoint; it comes up by itself.

        Raises:
            UnknownDriver: no driver of that name.
        """
        connection = self._connections.get(config.endpoint)
        wanted = (config.driver, config.credentials)
        if connection is not None and self._opened[config.endpoint] != wanted:
            # It was registered anew, with others.
            del self._connections[config.endpoint]
            await connection.stop()
            connection = None
        if connection is None:
            driver = self._ports.driver_named(config.driver)
            connection = driver.open_connection(config, self._listener)
            self._connections[config.endpoint] = connection
            self._opened[config.endpoint] = wanted
            self._reach.opened(config.endpoint)
            await connection.start()
        return connection

    def get(self, endpoint: str) -> Connection | None:
        """The connection if it stands right now."""
        connection = self._connections.get(endpoint)
        return connection if connection is not None and connection.connected else None

    async def close_unused(self, used: frozenset[str]) -> None:
        """Close connections to endpoints that nobody serves any more."""
        for endpoint in [e for e in self._connections if e not in used]:
            await self._connections.pop(endpoint).stop()
            self._reach.forget(endpoint)

    async def close(self) -> None:
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.stop()

    async def runs(self, config: InstanceConfig) -> frozenset[str] | None:
        """Keys that an instance runs right now; None when it cannot be asked (yet: an instance
        that is full of orphans gets no delivery, so this may be what connects to it)."""
        connection = await self.open(config)
        if not connection.connected:
            return None
        try:
            return await connection.inventory(config.instance_id)
        except InstanceError:
            return None

    def stop_run(self, endpoint: str, instance_id: str, key: str) -> None:
        """Ask an instance to stop an attempt that nobody waits for."""
        connection = self.get(endpoint)
        if connection:
            connection.cancel(instance_id, [key])
