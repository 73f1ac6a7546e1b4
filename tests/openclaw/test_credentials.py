"""Where a gateway's token and device key come from, and that they go nowhere else."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from godel_tasks.errors import InstanceError
from godel_tasks.instances.drivers.openclaw.credentials import (
    Credentials,
    keep_device_token,
    parse,
    resolve,
    write,
)
from godel_tasks.instances.drivers.openclaw.device import Device, new_key


def test_a_token_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GW_TOKEN", "one")
    assert resolve("env:GW_TOKEN").token == "one"
    monkeypatch.setenv("GW_TOKEN", "two")
    assert resolve("env:GW_TOKEN").token == "two"
    assert resolve("") == Credentials()


@pytest.mark.parametrize("reference", ["env:NOT_THERE", "file:/not/there", "hunter2"])
def test_what_leads_nowhere_is_told_with_what_to_do(reference: str) -> None:
    with pytest.raises(InstanceError) as raised:
        resolve(reference)
    assert raised.value.hint
    assert "hunter2" not in str(raised.value)


def test_credentials_never_show_themselves() -> None:
    shown = repr(Credentials("hunter2", "hunter3", "hunter4"))
    assert "hunter" not in shown
    with pytest.raises(InstanceError) as raised:
        parse('{"token": "hunter2", "devce_key": "x"}', "env:X")
    assert "hunter2" not in str(raised.value)
    assert "devce_key" in str(raised.value)


def test_a_file_of_credentials_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gw.json"
    key = new_key()
    write(path, token="t", device_key=key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert resolve(f"file:{path}") == Credentials("t", key, "")
    # And a token that the gateway hands out for the device is kept beside
    keep_device_token(f"file:{path}", "dt")
    assert resolve(f"file:{path}") == Credentials("t", key, "dt")
    assert [p.name for p in path.parent.iterdir()] == ["gw.json"]


def test_a_device_proves_itself_by_the_challenge() -> None:
    # Given a device and a gateway's challenge
    device = Device(new_key())
    client = {"id": "gateway-client", "mode": "backend", "platform": "Linux"}
    # When it signs
    proof = device.proof(
        challenge={"nonce": "n-1", "ts": 17},
        client=client,
        role="operator",
        scopes=["a", "b"],
        token="t",
    )
    # Then the signature is of the text that the protocol asks for
    raw = urlsafe_b64decode(proof["publicKey"] + "==")
    text = f"v3|{device.id}|gateway-client|backend|operator|a,b|17|t|n-1|linux|"
    signature = urlsafe_b64decode(proof["signature"] + "==")
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, text.encode())
    assert (proof["nonce"], proof["signedAt"], proof["id"]) == ("n-1", 17, device.id)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(InstanceError, match="not an Ed25519 key"):
        Device("short")
