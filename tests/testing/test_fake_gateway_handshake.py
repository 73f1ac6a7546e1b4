"""The fake gateway's door: whom it lets in, and how it turns others away."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from godel_tasks.errors import GatewayRefused, InstanceUnavailable
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.device import Device, new_key
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.testing.gateway_client import client

CLIENT = {"id": "gateway-client", "version": "1", "platform": "linux", "mode": "backend"}


async def turned_away(url: str, **params: Any) -> tuple[dict[str, Any], int | None]:
    """The error of a handshake, and the close code after it."""
    connect = {"minProtocol": 4, "maxProtocol": 4, "client": CLIENT} | params
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert (await socket.receive_json())["event"] == "connect.challenge"
        method = params.pop("method", "connect")
        connect.pop("method", None)
        await socket.send_json({"type": "req", "id": "1", "method": method, "params": connect})
        answer = await socket.receive_json()
        await socket.receive()
        return answer["error"], socket.close_code


async def test_a_hello_says_who_it_is_and_what_is_granted():
    async with FakeGateway(token="t") as gateway, client(gateway.url) as one:
        hello = one.gateway.hello
        assert (hello.boot_id, hello.version) == (gateway.boot_id, "2026.9.6")
        assert hello.scopes == set(SCOPES)
        assert hello.agent_id == "main"
        assert gateway.connections == 1


@pytest.mark.parametrize(
    ("params", "code", "close"),
    [
        ({"auth": {"token": "no"}}, "AUTH_TOKEN_MISMATCH", 1008),
        ({}, "DEVICE_IDENTITY_REQUIRED", 1008),
        ({"minProtocol": 3, "maxProtocol": 3}, "PROTOCOL_MISMATCH", 1002),
        ({"auth": {"token": "t"}, "device": {"id": "x"}}, "DEVICE_AUTH_SIGNATURE_INVALID", 1008),
    ],
)
async def test_each_refusal_has_its_code_and_its_close(params, code, close):
    async with FakeGateway(token="t") as gateway:
        error, closed = await turned_away(gateway.url, **params)
    assert (error["details"]["code"], closed) == (code, close)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bogus": 1}, "invalid connect params: at root: unexpected property 'bogus'"),
        ({"client": CLIENT | {"id": "godel"}}, "at /client/id: must be equal to one of"),
        ({"method": "health"}, "invalid handshake: first request must be connect"),
    ],
)
async def test_a_handshake_that_does_not_fit_is_told_why(params, message):
    async with FakeGateway(token="t") as gateway:
        error, closed = await turned_away(gateway.url, **params)
    assert message in error["message"]
    assert closed == 1008


async def test_while_it_starts_it_asks_to_come_again():
    async with FakeGateway(token="t", starting=True) as gateway:
        error, closed = await turned_away(gateway.url, auth={"token": "t"})
        assert (error["code"], error["retryAfterMs"], closed) == ("UNAVAILABLE", 500, 1013)
        assert error["details"] == {"reason": "startup-sidecars"}
        async with aiohttp.ClientSession() as session:
            ready = gateway.url.replace("ws", "http", 1) + "/readyz"
            assert (await session.get(ready)).status == 503
            gateway.starting = False
            assert (await session.get(ready)).status == 200


async def test_a_device_is_paired_at_once_and_gets_a_token_of_its_own():
    key = new_key()
    async with FakeGateway(token="t") as gateway:
        async with client(gateway.url, device_key=key) as one:
            own = one.gateway.hello.device_token
        # Its own token does for the gateway's.
        async with client(gateway.url, own, device_key=key) as one:
            assert one.gateway.hello.device_token == own
        # It is nobody else's.
        with pytest.raises(GatewayRefused, match="token mismatch"):
            await Gateway.connect(gateway.url, Credentials(token=own, device_key=new_key()), SCOPES)


async def test_by_hand_a_device_waits_until_somebody_approves_it():
    key = new_key()
    async with FakeGateway(token="t", pairing="manual") as gateway:
        with pytest.raises(GatewayRefused, match="pairing required"):
            await Gateway.connect(gateway.url, Credentials(token="t", device_key=key), SCOPES)
        gateway.approve(Device(key).id)
        async with client(gateway.url, device_key=key) as one:
            assert one.gateway.hello.device_token


async def test_scopes_are_asked_for_by_method():
    async with FakeGateway(token="t") as gateway, client(gateway.url) as one:
        with pytest.raises(CallFailed) as raised:
            await one.call("sessions.delete", key="agent:main:x")
        assert raised.value.error.details == {
            "code": "MISSING_SCOPE",
            "missingScope": "operator.admin",
            "requiredScopes": ["operator.admin"],
        }
        with pytest.raises(CallFailed, match=r"unknown method: no\.such"):
            await one.call("no.such")
        with pytest.raises(CallFailed, match="unexpected property 'bogus'"):
            await one.call("tasks.list", bogus=1)


async def test_a_network_that_is_cut_refuses_and_comes_back_to_the_same_boot():
    async with FakeGateway(token="t") as gateway:
        boot_id = gateway.boot_id
        gateway.refuse_connections = True
        with pytest.raises(InstanceUnavailable, match="nobody listens"):
            await Gateway.connect(gateway.url, Credentials(token="t"), SCOPES)
        gateway.refuse_connections = False
        async with client(gateway.url) as one:
            assert one.gateway.hello.boot_id == boot_id
