"""Credentials: what an instance's `credentials` reference leads to. Never logged, never registered.

The reference is `env:NAME` or `file:PATH`; what stands there is the gateway's token, or JSON:

    {"token": "...", "device_key": "...", "device_token": "..."}

A device key is the base64url of an Ed25519 key's 32 bytes: see `device.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from godel_tasks.errors import InstanceError


@dataclass(frozen=True, slots=True)
class Credentials:
    """`device_token` was handed out by the gateway when it paired the device."""

    token: str = field(default="", repr=False)
    device_key: str = field(default="", repr=False)
    device_token: str = field(default="", repr=False)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    token: str = ""
    device_key: str = ""
    device_token: str = ""


def resolve(reference: str) -> Credentials:
    """Read what the reference leads to, anew each time: a token may be changed under way.

    Raises:
        InstanceError: there is nothing, or it cannot be read; the text names the reference only.
    """
    if not reference:
        return Credentials()
    kind, _, rest = reference.partition(":")
    if kind == "env":
        text = os.environ.get(rest, "")
        if not text:
            raise InstanceError(
                f"the environment variable {rest} is not set in this process",
                hint="every dispatcher needs the variable that the instance was registered with",
            )
    elif kind == "file":
        try:
            text = Path(rest).read_text()
        except OSError as error:
            raise InstanceError(
                f"the credentials file {rest} cannot be read: {error.strerror}",
                hint="every dispatcher needs that file; mode 0600, owned by its user",
            ) from None
    else:
        raise InstanceError(
            "credentials are a reference, env:NAME or file:PATH", hint="register the instance anew"
        )
    return parse(text.strip(), reference)


def write(path: Path, *, token: str, device_key: str, device_token: str = "") -> None:
    """Keep credentials in a file that only its owner can read, written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = path.with_name(f".{path.name}.{os.getpid()}")
    stored = _Stored(token, device_key, device_token)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(stored))
    made.replace(path)


def keep_device_token(reference: str, device_token: str) -> None:
    """The gateway has paired the device: its token stands in for the shared one from now on."""
    kind, _, path = reference.partition(":")
    known = resolve(reference)
    if kind == "file" and known.device_key and known.device_token != device_token:
        write(
            Path(path),
            token=known.token,
            device_key=known.device_key,
            device_token=device_token,
        )


def parse(text: str, reference: str) -> Credentials:
    """A bare token, or the JSON of the module's head."""
    if not text.startswith("{"):
        return Credentials(token=text)
    try:
        stored = msgspec.json.decode(text, type=_Stored)
    except msgspec.DecodeError as error:
        # The error names the field, never a value.
        raise InstanceError(
            f"what {reference} holds is not valid: {error}",
            hint='give a bare token, or JSON with "token", "device_key", "device_token"',
        ) from None
    return Credentials(stored.token, stored.device_key, stored.device_token)
