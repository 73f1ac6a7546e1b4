"""Device identity: an Ed25519 key that a gateway pairs with, as remote gateways demand."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from godel_tasks.errors import InstanceError


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def new_key() -> str:
    """A fresh private key, as `credentials` keep it."""
    return _text(Ed25519PrivateKey.generate().private_bytes_raw())


class Device:
    """One identity. Its id is the hex SHA-256 of the raw public key.

    Raises:
        InstanceError: what was given is no Ed25519 key.
    """

    def __init__(self, key: str) -> None:
        try:
            raw = urlsafe_b64decode(key + "=" * (-len(key) % 4))
            self._private = Ed25519PrivateKey.from_private_bytes(raw)
        except ValueError:
            raise InstanceError(
                "the device key is not an Ed25519 key",
                hint="base64url of 32 bytes; `godel instances add openclaw ... --device` makes one",
            ) from None
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._public = _text(public)
        self.id = hashlib.sha256(public).hexdigest()

    def __repr__(self) -> str:
        return f"<Device {self.id[:12]}>"

    def proof(
        self, *, challenge: dict[str, Any], client: dict[str, str], role: str, scopes: list[str],
        token: str,
    ) -> dict[str, Any]:  # fmt: skip
        """`device` of the connect request: the challenge, signed ("v3" of the protocol's docs)."""
        signed_at, nonce = challenge["ts"], challenge["nonce"]
        parts = (
            "v3",
            self.id,
            client["id"],
            client["mode"],
            role,
            ",".join(scopes),
            str(signed_at),
            token,
            nonce,
            client["platform"].lower(),
            client.get("deviceFamily", "").lower(),
        )
        return {
            "id": self.id,
            "publicKey": self._public,
            "signature": _text(self._private.sign("|".join(parts).encode())),
            "signedAt": signed_at,
            "nonce": nonce,
        }
