"""The stand-in model, called as OpenClaw calls a model."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import sys
from typing import Any

import aiohttp
import pytest

from godel_tasks.errors import GodelError
from godel_tasks.testing.standin import Ending, StandInModel, serve
from godel_tasks.testing.standin.prompt import INTERNAL, stripped
from tests.helpers import wait_until_async

FRAMED = "[Sun 2026-11-22 21:47 UTC] {}\n\nRuntime: agent=main | session=agent:main:godel"


class InstantClock:
    """Time that passes at once, and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def wall_ms(self) -> int:
        return 1_795_000_000_000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def clock():
    return InstantClock()


@pytest.fixture
async def model(clock):
    async with StandInModel(clock=clock) as model:
        yield model


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def body_of(prompt: str, *, stream: bool = False) -> dict[str, object]:
    """As OpenClaw sends it: the prompt framed, a message of its own behind it."""
    return {
        "model": "standin",
        "messages": [
            {"role": "system", "content": "You are an agent. " * 2000},
            {"role": "assistant", "content": None},
            {"role": "user", "content": [{"type": "text", "text": FRAMED.format(prompt)}]},
            {"role": "user", "content": f"{INTERNAL} nothing a person wrote"},
        ],
        "stream": stream,
        "stream_options": {"include_usage": True} if stream else None,
        "tools": [],
    }


async def ask(http, model, prompt, *, stream=False) -> tuple[int, str]:
    async with http.post(f"{model.url}/chat/completions", json=body_of(prompt, stream=stream)) as r:
        return r.status, await r.text()


def chunks_of(text: str) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


async def test_an_answer_is_streamed_word_by_word(http, model, clock) -> None:
    # When a prompt asks for a slow answer of five words
    prompt = "hi there [[reply=one two]][[tokens=5]][[latency=2.5]][[delay=0.05]]"
    status, text = await ask(http, model, prompt, stream=True)
    # Then it comes in that rhythm, and says at its end what it cost
    *said, last, usage = chunks_of(text)
    words = [chunk["choices"][0]["delta"]["content"] for chunk in said]
    assert status == 200
    assert words == ["", "one ", "two ", "one ", "two ", "one"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"] == {
        "prompt_tokens": 100 + len(prompt.split()),
        "completion_tokens": 5,
        "total_tokens": 105 + len(prompt.split()),
    }
    assert clock.slept == [2.5] + [0.05] * 4
    # And the call is on record, as its prompt was written
    (call,) = model.calls_of(prompt)
    assert (call.model, call.at, call.ended) == ("standin", 1_795_000_000, Ending.ANSWERED)


async def test_an_answer_comes_as_a_whole(http, model) -> None:
    status, text = await ask(http, model, "hi there [[tokens=2]]")
    answer = json.loads(text)
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "echo: hi"
    assert answer["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_scripted_failure(http, model, status, stream) -> None:
    for _ in range(2):
        got, text = await ask(http, model, f"hi [[fail={status}]]", stream=stream)
        assert got == status
        assert json.loads(text)["error"]["message"] == f"scripted failure {status}"


async def test_a_failure_of_the_first_call_only(http, model) -> None:
    # Given a prompt that fails once
    got = [(await ask(http, model, "hi [[fail=429x1]]"))[0] for _ in range(3)]
    # Then another prompt has a first time of its own
    assert got == [429, 200, 200]
    assert (await ask(http, model, "you [[fail=429x1]]"))[0] == 429
    assert [call.ended for call in model.calls] == ["failed", "answered", "answered", "failed"]


async def test_a_connection_is_dropped_before_any_answer(http, model) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, model, "hi [[fail=refused]]")
    assert model.calls[0].ended == Ending.FAILED


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_cut_in_the_middle(http, model, stream) -> None:
    # When a reply of four words is cut
    body = body_of("[[reply=one two three four]][[fail=cut]]", stream=stream)
    async with http.post(f"{model.url}/chat/completions", json=body) as response:
        # Then it begins well, and its end never comes
        assert response.status == 200
        got = await response.content.readany()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert got
    assert b"four" not in got
    assert model.calls[0].ended == Ending.CUT


async def test_a_call_that_hangs_ends_when_its_caller_leaves(http, model) -> None:
    # Given a call that is never answered
    call = asyncio.create_task(ask(http, model, "hi [[hang]]", stream=True))
    await wait_until_async(lambda: model.calls, description="the call arrives")
    assert model.calls[0].ended is None
    # When its caller gives up
    call.cancel()
    # Then the model knows
    await wait_until_async(lambda: model.calls[0].ended == "left", description="the call is left")


async def test_stopping_does_not_wait_for_calls_that_hang(http) -> None:
    model = StandInModel()
    await model.stop()  # before it started: nothing
    await model.start()
    call = asyncio.create_task(ask(http, model, "hi [[hang]]"))
    await wait_until_async(lambda: model.calls, description="the call arrives")
    await asyncio.wait_for(model.stop(), 5)
    with pytest.raises(aiohttp.ClientError):
        await call
    await model.stop()


async def test_what_is_wrong_is_said_with_status_400(http, model) -> None:
    status, text = await ask(http, model, "hi [[latenci=2]]")
    assert status == 400
    assert "did you mean [[latency]]?" in json.loads(text)["error"]["message"]
    for body, word in ((b"{", "truncated"), (b'{"model":"m"}', "messages"),
                       (b'{"model":"m","messages":[]}', "no message")):  # fmt: skip
        async with http.post(f"{model.url}/chat/completions", data=body) as response:
            assert response.status == 400
            assert word in (await response.json())["error"]["message"]


async def test_models_and_counts_are_listed(http, model) -> None:
    for prompt in ("a", "b", "a"):
        await ask(http, model, prompt)
    async with http.get(f"{model.url}/models") as response:
        assert [listed["id"] for listed in (await response.json())["data"]] == ["standin"]
    async with http.get(f"{model.root_url}/calls") as response:
        assert await response.json() == {"calls": 3, "prompts": {"a": 2, "b": 1}}


async def test_a_history_of_megabytes_is_read(http, model) -> None:
    body = io.BytesIO(json.dumps(body_of("word " * 8_000_000 + "[[reply=read]]")).encode())
    async with http.post(f"{model.url}/chat/completions", data=body) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (FRAMED.format("do\n\nthis"), "do\n\nthis"),
        ("[Sun 2026-11-22 21:47 GMT+1] do", "do"),
        ("[urgent] do", "[urgent] do"),
        ("[[latency=1]] do", "[[latency=1]] do"),
        (FRAMED.format("say 'Runtime: agent=x'"), "say 'Runtime: agent=x'"),
    ],
)
def test_what_openclaw_puts_around_a_prompt_is_taken_off(text: str, prompt: str) -> None:
    assert stripped(text) == prompt


async def test_serving_ends_when_cancelled_and_a_taken_port_is_an_error(http) -> None:
    # Given a server
    ready: asyncio.Queue[StandInModel] = asyncio.Queue()
    serving = asyncio.create_task(serve(ready=ready.put_nowait))
    model = await ready.get()
    assert (await ask(http, model, "hi"))[0] == 200
    # Then nobody else has its port
    with pytest.raises(GodelError, match=f"cannot listen on 127.0.0.1:{model.port}"):
        await StandInModel(model.port).start()
    # And when it is cancelled nobody listens there
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(http, model, "hi")


async def test_a_process_says_where_it_listens_and_ends_when_told() -> None:
    # Given the program
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "godel_tasks.testing.standin", "--port", "0", "--latency", "0.01",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = await process.stderr.readline()
    assert b"a stand-in model listens on http://127.0.0.1:" in line
    # When it is told to end
    process.send_signal(signal.SIGTERM)
    # Then it does, without another word
    assert await process.stderr.read() == b""
    assert await process.wait() == 0
