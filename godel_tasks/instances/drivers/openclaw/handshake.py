"""The handshake: what a connect request says, and what a refusal means. No I/O."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from godel_tasks.errors import GatewayRefused, InstanceUnavailable, MissingScope
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.device import Device
from godel_tasks.instances.drivers.openclaw.frames import PROTOCOL, GatewayError

ROLE = "operator"
READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"
#: What Godel asks for; admin only where the instance's lifecycle was handed to it.
SCOPES = (READ, WRITE)

#: What a gateway takes that does not say.
DEFAULT_MAX_FRAME = 26_214_400

_HINTS = {
    "AUTH_TOKEN_MISMATCH": "the token that the instance's credentials lead to is not the gateway's",
    "AUTH_TOKEN_MISSING": "register the instance with credentials: `--token-env NAME`",
    "DEVICE_IDENTITY_REQUIRED": "give a token, or pair a device: `--device`",
    "PAIRING_REQUIRED": "approve the device on the gateway: `openclaw devices approve`",
    "DEVICE_AUTH_SIGNATURE_INVALID": "the device key does not fit the device: pair it again",
}


@dataclass(frozen=True, slots=True)
class Hello:
    """What the gateway answered. Another `boot_id` than before: its process started anew."""

    boot_id: str
    version: str
    scopes: frozenset[str]
    agent_id: str
    device_token: str = ""
    #: Bytes of a payload that are sure to fit one frame: text may double when it is escaped again.
    payload_limit: int = DEFAULT_MAX_FRAME // 2


def connect_params(
    challenge: dict[str, Any], credentials: Credentials, scopes: tuple[str, ...], version: str
) -> dict[str, Any]:
    """Parameters of the connect request."""
    # A backend that shows the shared token is let in, but not paired; a device asks as "cli" first.
    pairs = credentials.device_key and not credentials.device_token
    client = {
        "id": "cli" if pairs else "gateway-client",
        "displayName": "godel",
        "version": version,
        "platform": sys.platform,
        "mode": "cli" if pairs else "backend",
    }
    token = credentials.device_token or credentials.token
    params: dict[str, Any] = {
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": client,
        "role": ROLE,
        "scopes": list(scopes),
        "caps": [],
    }
    if token:
        params["auth"] = {"token": token}
    if credentials.device_key:
        params["device"] = Device(credentials.device_key).proof(
            challenge=challenge, client=client, role=ROLE, scopes=list(scopes), token=token
        )
    return params


def hello_of(payload: dict[str, Any]) -> Hello:
    """The gateway's hello.

    Raises:
        MissingScope: it grants less than a driver needs.
    """
    auth = payload.get("auth") or {}
    granted = frozenset(auth.get("scopes") or ())
    server = payload.get("server") or {}
    defaults = (payload.get("snapshot") or {}).get("sessionDefaults") or {}
    for scope in SCOPES:
        if scope not in granted:
            raise MissingScope(scope, "work")
    return Hello(
        boot_id=str(server.get("bootId", "")),
        version=str(server.get("version", "")),
        scopes=granted,
        agent_id=str(defaults.get("defaultAgentId") or "main"),
        device_token=str(auth.get("deviceToken") or ""),
        payload_limit=int((payload.get("policy") or {}).get("maxPayload") or DEFAULT_MAX_FRAME)
        // 2,
    )


def refusal_of(error: GatewayError, endpoint: str) -> GatewayRefused | InstanceUnavailable:
    """What a refused handshake means: to be tried again soon, or somebody has to do something."""
    if error.retryable or error.code == "UNAVAILABLE":
        return InstanceUnavailable(f"the gateway at {endpoint} is not ready: {error.message}")
    if error.reason == "PROTOCOL_MISMATCH":
        expected = (error.details or {}).get("expectedProtocol", "another one")
        return GatewayRefused(
            f"the gateway at {endpoint} speaks protocol {expected}, Godel speaks {PROTOCOL}",
            hint="use an OpenClaw release of 2026.9, or a Godel that knows this one",
        )
    return GatewayRefused(
        f"the gateway at {endpoint} refused the connection: {error.message}",
        hint=_HINTS.get(error.reason),
    )
