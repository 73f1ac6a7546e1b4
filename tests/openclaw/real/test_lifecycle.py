"""A gateway that Godel runs itself: with admin, restarted, and while it starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.session import SessionConfig
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.drivers.openclaw.credentials import resolve
from godel_tasks.instances.drivers.openclaw.driver import OpenclawDriver, OpenclawInstance
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES
from tests.openclaw.real.pair import Pair

NAME = "gw-2"


@pytest.fixture
async def own(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenclawInstance]:
    """The view of `gw-2` as of one that Godel started: its provider is `process`."""
    monkeypatch.setenv("GODEL_DATA_DIR", str(pair.data_dir))
    await pair.start(NAME)
    instance = OpenclawDriver().instance(pair.configs[NAME])
    assert isinstance(instance, OpenclawInstance)
    yield instance
    await instance.aclose()
    await pair.start(NAME)


async def _turn(
    instance: OpenclawInstance, task_id: str, message: str, **fields: str
) -> Completion:
    delivery = Delivery(task_id, 1, NAME, 1, "acme", msgspec.json.encode(message), **fields)  # type: ignore[arg-type]
    return await (await instance.submit_task(delivery)).result()


async def test_with_admin_sessions_are_reset_and_deleted(own: OpenclawInstance) -> None:
    # Given a session with a turn in it
    session = await own.create_session(SessionConfig("notes", "acme"))
    assert (await _turn(own, "admin-1", "remember this", session_id="notes")).end is End.OK
    assert len(await own.session_history(session.session_id)) == 2
    # When it is reset: it is there, and empty
    await own.reset_session("notes")
    assert [m for m in await own.session_history("notes") if m["role"] != "system"] == []
    assert await own.get_session("notes") is not None
    # And when it is deleted, twice, it is gone
    await own.terminate_session("notes")
    await own.terminate_session("notes")
    assert await own.get_session("notes") is None


async def test_a_restart_through_the_contract_begins_anew(
    own: OpenclawInstance, pair: Pair
) -> None:
    # Given a gateway that Godel runs
    credentials = resolve(pair.configs[NAME].credentials)
    endpoint = pair.configs[NAME].endpoint
    before = await Gateway.connect(endpoint, credentials, SCOPES)
    await before.close()
    # When it is restarted, and asked again and again meanwhile
    restarting = asyncio.ensure_future(own.restart())
    said: list[str] = []
    while not restarting.done():
        try:
            gateway = await Gateway.connect(endpoint, credentials, SCOPES)
            await gateway.close()
        except InstanceUnavailable as error:
            said.append(str(error))
        await asyncio.wait({restarting}, timeout=0.2)
    await restarting
    # Then it was away, and then it was starting, and said so
    assert any("nobody listens" in text for text in said)
    assert any("not ready" in text for text in said)
    # And it is another boot, at work
    after = await Gateway.connect(endpoint, credentials, SCOPES)
    await after.close()
    assert after.hello.boot_id != before.hello.boot_id
    assert (await _turn(own, "anew", "[[reply=well]] again")).end is End.OK


async def test_a_provider_that_refuses_the_key_is_told(own: OpenclawInstance) -> None:
    # Last: the gateway keeps away from that provider for a minute, also when it is restarted.
    for number in (1, 2):
        refused = await _turn(own, f"auth-{number}", "[[fail=401]] who am I")
        assert (refused.end, refused.error_type) == (End.FAILED, "ModelAuth")
        assert refused.retryable
