"""OpenclawDriver, and the `Instance` view of a gateway."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import uuid4

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.instance import Health, HealthStatus, InstanceConfig, InstanceMetrics
from godel_tasks.domain.session import Session, SessionConfig
from godel_tasks.errors import InstanceError, InstanceUnavailable, MissingScope, UnknownInstance
from godel_tasks.instances.drivers.openclaw.connection import OpenclawConnection
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway
from godel_tasks.instances.drivers.openclaw.handshake import ADMIN, SCOPES
from godel_tasks.instances.drivers.openclaw.turns import (
    MARK,
    is_ours,
    named_session_key,
    session_parts,
)
from godel_tasks.instances.drivers.view import ConnectionInstance
from godel_tasks.instances.instance import Connection, ConnectionListener, Driver, Instance

#: The provider whose gateways are Godel's own: it asks them for the scope of an administrator.
OWN_PROVIDER = "process"
_PAGE = 200


def scopes_for(config: InstanceConfig) -> tuple[str, ...]:
    """Read and write; admin only where the gateway's lifecycle was handed to Godel."""
    return (*SCOPES, ADMIN) if config.provider == OWN_PROVIDER else SCOPES


class OpenclawInstance(ConnectionInstance):
    """One gateway. Sessions are named by what the tenant calls them, or by the gateway's own key
    (`agent:...`), where two tenants use the same name."""

    def __init__(self, config: InstanceConfig, clock: Clock, random: Random) -> None:
        super().__init__(
            config,
            lambda listener: OpenclawConnection(
                config, listener, scopes_for(config), random, clock
            ),
        )

    async def health_check(self) -> HealthStatus:
        try:
            connection = await self._openclaw()
            return (await connection.probe(self.instance_id)).health
        except (InstanceUnavailable, UnknownInstance, CallFailed) as error:
            return HealthStatus(Health.UNHEALTHY, 0.0, str(error))

    async def get_metrics(self) -> InstanceMetrics:
        connection = await self._openclaw()
        return (await connection.probe(self.instance_id)).metrics

    async def running_keys(self) -> frozenset[str]:
        connection = await self._openclaw()
        return await connection.inventory(self.instance_id)

    async def create_session(self, config: SessionConfig) -> Session:
        """Labels are not kept: a gateway has no place for them."""
        gateway = await self._gateway()
        session_id = config.session_id or uuid4().hex
        key = named_session_key(gateway.hello.agent_id, config.tenant_id, session_id)
        await self._ask(gateway, "creating a session", "sessions.create", {"key": key})
        found = await self.get_session(key)
        if found is None:
            raise InstanceError(f"the gateway at {self.endpoint} made no session {key}")
        return found

    async def get_session(self, session_id: str) -> Session | None:
        gateway = await self._gateway()
        key = await self._key_of(gateway, session_id)
        if key is None:
            return None
        answer = await gateway.call("sessions.describe", {"key": key})
        known = answer.get("session")
        if not known:
            return None
        tenant_id, name = session_parts(key) or ("", key)
        created_ms = int(known.get("createdAt") or known.get("updatedAt") or 0)
        return Session(name, self.instance_id, tenant_id, created_ms)

    async def terminate_session(self, session_id: str) -> None:
        """Deletes it.

        Raises:
            MissingScope: it needs admin.
        """
        gateway = await self._gateway()
        key = await self._key_of(gateway, session_id)
        if key is not None:
            await self._ask(gateway, "deleting a session", "sessions.delete", {"key": key})

    async def forget_session(self, tenant_id: str, session_id: str) -> None:
        """Deletes it, for every agent that had it.

        Raises:
            MissingScope: it needs admin.
        """
        gateway = await self._gateway()
        ending = named_session_key("", tenant_id, session_id).removeprefix("agent:")
        answer = await gateway.call("sessions.list", {"search": ending, "limit": _PAGE})
        for found in answer.get("sessions") or ():
            if session_parts(key := str(found["key"])) == (tenant_id, session_id):
                await self._ask(gateway, "deleting a session", "sessions.delete", {"key": key})

    async def reset_session(self, session_id: str) -> None:
        """Forget the conversation; a run in it is aborted.

        Raises:
            MissingScope: it needs admin.
        """
        gateway = await self._gateway()
        key = await self._key_of(gateway, session_id)
        if key is not None:
            await self._ask(gateway, "resetting a session", "sessions.reset", {"key": key})

    async def session_history(self, session_id: str, limit: int = 50) -> list[dict[str, Any]]:
        """Its newest messages, oldest first: dicts with role and content, as it has them."""
        gateway = await self._gateway()
        key = await self._key_of(gateway, session_id)
        if key is None:
            return []
        answer = await gateway.call("chat.history", {"sessionKey": key, "limit": limit})
        messages: list[dict[str, Any]] = answer.get("messages") or []
        return messages

    async def _openclaw(self) -> OpenclawConnection:
        connection = await self._connected()
        assert isinstance(connection, OpenclawConnection)  # noqa: S101 - made in __init__
        return connection

    async def _gateway(self) -> Gateway:
        return (await self._openclaw()).gateway

    async def _key_of(self, gateway: Gateway, session_id: str) -> str | None:
        """The gateway's key of a session; None when there is none.

        Raises:
            InstanceError: several tenants have one of that name.
        """
        if session_id.startswith("agent:"):
            return session_id
        answer = await gateway.call("sessions.list", {"search": f"{MARK}:", "limit": _PAGE})
        keys = [str(s["key"]) for s in answer.get("sessions") or () if is_ours(str(s["key"]))]
        found = [key for key in keys if (session_parts(key) or ("", ""))[1] == session_id]
        if len(found) > 1:
            raise InstanceError(
                f"{len(found)} sessions are called {session_id!r}",
                hint=f"give the gateway's own key, e.g. {found[0]}",
            )
        return found[0] if found else None

    async def _ask(self, gateway: Gateway, act: str, method: str, params: dict[str, Any]) -> Any:
        try:
            return await gateway.call(method, params)
        except CallFailed as error:
            details = error.error.details
            if error.error.reason == "MISSING_SCOPE" and isinstance(details, dict):
                raise MissingScope(str(details.get("missingScope", ADMIN)), act) from None
            raise


class OpenclawDriver(Driver):
    """See the package. `random` spreads reconnects; tests give a seeded one."""

    name = "openclaw"
    self_registering = False

    def __init__(self, clock: Clock | None = None, random: Random | None = None) -> None:
        self._clock = clock or SystemClock()
        self._random = random or Random()

    def open_connection(self, config: InstanceConfig, listener: ConnectionListener) -> Connection:
        return OpenclawConnection(config, listener, scopes_for(config), self._random, self._clock)

    def instance(self, config: InstanceConfig) -> Instance:
        return OpenclawInstance(config, self._clock, self._random)
