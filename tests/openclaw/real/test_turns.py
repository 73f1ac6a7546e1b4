"""Turns of a real gateway: what comes while one runs, and how each failure is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from godel_tasks.domain.attempt import Completion, End
from godel_tasks.errors import GatewayRefused, MissingScope
from godel_tasks.instances.drivers.openclaw import handshake
from godel_tasks.instances.drivers.openclaw.credentials import Credentials, resolve, write
from godel_tasks.instances.drivers.openclaw.device import new_key
from godel_tasks.instances.drivers.openclaw.driver import OpenclawInstance
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from tests.openclaw.real.pair import PRICE_IN, PRICE_OUT, Pair
from tests.openclaw.real.site import RealGatewaySite

SCOPES = handshake.SCOPES


async def _end_of(site: RealGatewaySite, message: Any, **fields: Any) -> Completion:
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", msgspec.json.encode(message), **fields)])
    return await listener.completion(site.key("t"))


async def test_words_come_while_the_turn_runs(site: RealGatewaySite) -> None:
    # Given a turn that says many words, slowly
    connection, listener = await site.connect()
    text = f"[[tokens=30]] [[delay=0.05]] speak {site.tag}"
    connection.deliver([site.delivery("t", msgspec.json.encode(text))])
    # When it has ended
    completion = await listener.completion(site.key("t"))
    # Then its words came piece by piece, each time all of them so far
    said = [progress.text for progress in listener.progress]
    assert len(said) >= 3
    assert said == sorted(said, key=len)
    assert site.said(completion).startswith(said[-1])


async def test_what_a_turn_used_is_told_in_tokens_and_dollars(site: RealGatewaySite) -> None:
    completion = await _end_of(site, f"[[reply=one two three]] count {site.tag}")
    usage = completion.usage
    assert usage is not None
    assert (usage.model, usage.provider) == ("standin", "godel")
    assert usage.output_tokens == 3
    assert usage.input_tokens >= 100
    price = (usage.input_tokens * PRICE_IN + usage.output_tokens * PRICE_OUT) / 1_000_000
    assert usage.cost_usd == pytest.approx(price)


async def test_turns_of_one_session_run_in_order(site: RealGatewaySite) -> None:
    # Given three turns of a session, delivered at once, the first one slow
    connection, listener = await site.connect()
    texts = [f"[[latency=1.5]] first {site.tag}", f"second {site.tag}", f"third {site.tag}"]
    session = f"talk{site.tag}"
    connection.deliver(
        [
            site.delivery(f"t{n}", msgspec.json.encode(text), session_id=session)
            for n, text in enumerate(texts)
        ]
    )
    for n in range(3):
        await listener.completion(site.key(f"t{n}"))
    # Then they ended in that order, and the gateway remembers them in that order
    assert [c.task_id for c in listener.completions] == [f"t{n}{site.tag}" for n in range(3)]
    instance = site.driver.instance(site.config())
    assert isinstance(instance, OpenclawInstance)
    history = await instance.session_history(session)
    assert [m["content"] for m in history if m["role"] == "user"] == texts
    with pytest.raises(MissingScope):
        await instance.reset_session(session)
    await instance.aclose()


@pytest.mark.parametrize(
    ("message", "error_type", "retryable"),
    [
        ("[[fail=400]] bad", "ModelRejected", False),
        ("[[fail=404]] gone", "ModelNotFound", True),
        ({"message": "hi", "agent": "nosuch"}, "BadRequest", False),
        ({"message": "hi", "model": "nosuch/model"}, "BadRequest", False),
    ],
)
async def test_a_failure_is_told_by_its_kind(
    site: RealGatewaySite, message: Any, error_type: str, retryable: bool
) -> None:
    completion = await _end_of(site, message)
    assert (completion.end, completion.error_type) == (End.FAILED, error_type)
    assert completion.retryable is retryable
    assert completion.error_message


@pytest.mark.parametrize("fail", ["500x1", "429x1", "refusedx1"])
async def test_the_gateway_tries_a_failing_model_again_by_itself(
    site: RealGatewaySite, fail: str
) -> None:
    completion = await _end_of(site, f"[[fail={fail}]] [[reply=well]] {site.tag}")
    assert site.said(completion) == "well"


@pytest.mark.parametrize("fail", ["500", "refused", "cut"])
async def test_a_model_that_fails_for_ever_is_cut_off_by_our_own_limit(
    site: RealGatewaySite, fail: str
) -> None:
    # The gateway would go on for a minute and more, whatever its own time limit.
    completion = await _end_of(site, f"[[fail={fail}]] {site.tag}", timeout_ms=3000)
    assert completion.end in (End.TIMED_OUT, End.FAILED)
    assert completion.run_ms < 20_000


async def test_a_gateway_that_will_not_have_us_says_why(pair: Pair) -> None:
    # Given a real gateway, and credentials that are not its own
    endpoint = pair.config().endpoint
    with pytest.raises(GatewayRefused, match="token") as raised:
        await Gateway.connect(endpoint, Credentials("wrong"), SCOPES)
    assert "wrong" not in str(raised.value)
    assert not raised.value.retryable
    with pytest.raises(GatewayRefused, match="--device"):
        await Gateway.connect(endpoint, Credentials(), SCOPES)


async def test_another_protocol_is_told_with_both_numbers(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PROTOCOL", 3)
    with pytest.raises(GatewayRefused, match="speaks protocol 4, Godel speaks 3"):
        await Gateway.connect(pair.config().endpoint, _credentials(pair), SCOPES)


async def test_a_device_is_paired_and_its_token_works(pair: Pair, tmp_path: Any) -> None:
    # Given a device key beside the token
    path = tmp_path / "gw.json"
    write(path, token=_credentials(pair).token, device_key=new_key())
    gateway = await Gateway.connect(pair.config().endpoint, resolve(f"file:{path}"), SCOPES)
    device_token = gateway.hello.device_token
    await gateway.close()
    assert device_token
    # Then the token that the gateway handed out stands in for the shared one
    known = resolve(f"file:{path}")
    own = Credentials("", known.device_key, device_token)
    again = await Gateway.connect(pair.config().endpoint, own, SCOPES)
    assert set(SCOPES) <= again.hello.scopes
    await again.close()


def _credentials(pair: Pair) -> Credentials:
    return resolve(pair.config().credentials)
