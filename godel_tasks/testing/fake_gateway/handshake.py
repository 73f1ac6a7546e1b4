"""The door: who may connect, and what they are told. No I/O."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from godel_tasks.testing.fake_gateway.params import check, names
from godel_tasks.testing.fake_gateway.wire import Refused, invalid, now_ms

PROTOCOL = 4
VERSION = "2026.9.6"
#: Longest wait for the first frame.
PATIENCE_S = 15.0

_PARAMS = names(
    """minProtocol maxProtocol client role scopes caps commands permissions auth device locale
    userAgent pathEnv"""
)
_CLIENT_IDS = names(
    """webchat-ui openclaw-control-ui openclaw-browser-copilot openclaw-tui webchat cli
    gateway-client openclaw-macos openclaw-linux openclaw-ios openclaw-watchos openclaw-android
    node-host openclaw-worker test fingerprint openclaw-probe"""
)
_CLIENT_MODES = names("webchat cli ui backend node worker probe test")
#: Clients without a device that keep the scopes they ask for.
_TRUSTED = frozenset({("gateway-client", "backend"), ("cli", "cli")})


class TurnedAway(Exception):
    """A handshake that ends with an error and a close code."""

    def __init__(self, refused: Refused, close: int = 1008) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.close = close


@dataclass(frozen=True, slots=True)
class Admitted:
    """`device_token` is handed out where a device was paired."""

    scopes: tuple[str, ...]
    method: str
    device_id: str = ""
    device_token: str = ""


@dataclass
class Door:
    """Devices stay paired when the gateway starts anew. An empty token: anybody may."""

    token: str
    manual: bool = False
    waiting: set[str] = field(default_factory=set)
    #: Device tokens, by device.
    paired: dict[str, str] = field(default_factory=dict)

    def approve(self, device_id: str) -> None:
        self.waiting.discard(device_id)
        self.paired.setdefault(device_id, uuid4().hex)

    def admit(self, method: str, params: dict[str, Any], nonce: str) -> Admitted:
        """Raises: TurnedAway."""
        if method != "connect":
            raise TurnedAway(invalid("invalid handshake: first request must be connect"))
        _check_shape(params)
        if not params["minProtocol"] <= PROTOCOL <= params["maxProtocol"]:
            details = {
                "code": "PROTOCOL_MISMATCH",
                "expectedProtocol": PROTOCOL,
                "minProtocol": params["minProtocol"],
                "maxProtocol": params["maxProtocol"],
            }
            raise TurnedAway(invalid("protocol mismatch", details), 1002)
        scopes = tuple(params.get("scopes") or ())
        auth = params.get("auth") or {}
        token = auth.get("token") or auth.get("password") or ""
        device = params.get("device")
        if device is None:
            if not token and self.token:
                details = {"code": "DEVICE_IDENTITY_REQUIRED"}
                raise TurnedAway(Refused("NOT_PAIRED", "device identity required", details))
            self._check_token(token, "")
            client = params["client"]
            kept = (client["id"], client["mode"]) in _TRUSTED
            return Admitted(scopes if kept else (), "token" if self.token else "none")
        return self._admit_device(params, device, token, nonce, scopes)

    def _admit_device(
        self,
        params: dict[str, Any],
        device: dict[str, Any],
        token: str,
        nonce: str,
        scopes: tuple[str, ...],
    ) -> Admitted:
        device_id = str(device.get("id", ""))
        if device.get("nonce") != nonce or not _signed(params, device, token):
            details = {"code": "DEVICE_AUTH_SIGNATURE_INVALID"}
            raise TurnedAway(invalid("device signature invalid", details))
        by_device = self._check_token(token, device_id)
        if device_id not in self.paired:
            if self.manual:
                self.waiting.add(device_id)
                details = {"code": "PAIRING_REQUIRED", "requestId": device_id[:12]}
                raise TurnedAway(Refused("NOT_PAIRED", "pairing required", details))
            self.approve(device_id)
        method = "device-token" if by_device else "token"
        return Admitted(scopes, method, device_id, self.paired[device_id])

    def _check_token(self, token: str, device_id: str) -> bool:
        """Whether it is the device's own; the gateway's is as good."""
        if device_id and token and token == self.paired.get(device_id):
            return True
        if self.token and token != self.token:
            code = "AUTH_TOKEN_MISMATCH" if token else "AUTH_TOKEN_MISSING"
            what = "mismatch" if token else "missing"
            details = {"code": code, "recommendedNextStep": "update_auth_credentials"}
            message = f"unauthorized: gateway token {what} (set the gateway's token)"
            raise TurnedAway(invalid(message, details))
        return False


def challenge() -> dict[str, Any]:
    """Payload of the first event."""
    return {"nonce": str(uuid4()), "ts": now_ms(), "capabilities": ["model-catalog-snapshot"]}


def starting() -> TurnedAway:
    """It is not ready yet."""
    details = {"reason": "startup-sidecars"}
    refused = Refused("UNAVAILABLE", "gateway starting; retry shortly", details, 500)
    return TurnedAway(refused, 1013)


def hello(
    admitted: Admitted, conn_id: str, boot_id: str, up_ms: int, methods: list[str], agent: str
) -> dict[str, Any]:
    """The answer to a handshake that went well."""
    auth: dict[str, Any] = {
        "method": admitted.method,
        "role": "operator",
        "scopes": list(admitted.scopes),
    }
    if admitted.device_token:
        auth |= {"deviceToken": admitted.device_token, "issuedAtMs": now_ms()}
    return {
        "type": "hello-ok",
        "protocol": PROTOCOL,
        "server": {"version": VERSION, "buildId": "fake", "bootId": boot_id, "connId": conn_id},
        "features": {
            "methods": methods,
            "events": ["agent", "chat", "tick", "shutdown"],
            "capabilities": [],
        },
        "snapshot": {
            "presence": [],
            "health": {"ok": True},
            "stateVersion": {"presence": 1, "health": 1},
            "uptimeMs": up_ms,
            "suspension": {"phase": "accepting"},
            "sessionDefaults": {
                "defaultAgentId": agent,
                "mainKey": "main",
                "mainSessionKey": f"agent:{agent}:main",
            },
            "authMode": "token",
        },
        "auth": auth,
        "policy": {
            "maxPayload": 26_214_400,
            "maxBufferedBytes": 52_428_800,
            "tickIntervalMs": 30_000,
            "attachments": {"maxBytes": 19_464_192, "maxImageBytes": 6_291_456},
        },
    }


def _check_shape(params: dict[str, Any]) -> None:
    client = params.get("client")
    try:
        check("connect", params, _PARAMS, ("minProtocol", "maxProtocol", "client"))
        if not isinstance(client, dict):
            raise invalid("invalid connect params: at /client: must be object")
        for name, allowed in (("id", _CLIENT_IDS), ("mode", _CLIENT_MODES)):
            if client.get(name) not in allowed:
                raise invalid(
                    f"invalid connect params: at /client/{name}:"
                    " must be equal to one of the allowed values"
                )
        for name in ("minProtocol", "maxProtocol"):
            if not isinstance(params[name], int):
                raise invalid(f"invalid connect params: at /{name}: must be integer")
    except Refused as refused:
        raise TurnedAway(refused) from None


def _signed(params: dict[str, Any], device: dict[str, Any], token: str) -> bool:
    """Whether the device's key signed the challenge for just this request."""
    client = params["client"]
    parts = (
        "v3",
        str(device.get("id", "")),
        client["id"],
        client["mode"],
        str(params.get("role", "operator")),
        ",".join(params.get("scopes") or ()),
        str(device.get("signedAt", "")),
        token,
        str(device.get("nonce", "")),
        str(client.get("platform", "")).lower(),
        str(client.get("deviceFamily", "")).lower(),
    )
    try:
        public = _bytes(device["publicKey"])
        signature = _bytes(device["signature"])
        if hashlib.sha256(public).hexdigest() != device["id"]:
            return False
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(signature, "|".join(parts).encode())
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return False
    return True


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
