"""Which functions can be served, and what is said of those that cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from godel_tasks.errors import UnknownDriver, WorkerError
from godel_tasks.instances.drivers import driver_named, driver_names
from godel_tasks.instances.handlers import Handler, TaskContext, load_handler


def plain(payload: Any) -> Any:
    return payload


def with_context(payload: Any, context: TaskContext) -> Any:
    return context.task_id


def with_option(payload: Any, times: int = 2) -> Any:
    return payload * times


def with_optional_context(payload: Any, context: TaskContext | None = None) -> Any:
    return payload


def anything(*arguments: Any) -> Any:
    return arguments


async def coroutine(payload: Any) -> Any:
    return payload


class Agent:
    async def __call__(self, payload: Any) -> Any:
        return payload

    def answer(self, payload: Any, context: TaskContext) -> Any:
        return payload


AGENT = Agent()


@pytest.mark.parametrize(
    ("function", "is_async", "takes_context"),
    [
        (plain, False, False),
        (with_context, False, True),
        (with_option, False, False),
        (with_optional_context, False, True),
        (anything, False, False),
        (coroutine, True, False),
        (AGENT, True, False),
        (AGENT.answer, False, True),
        (functools.partial(coroutine), True, False),
        (len, False, False),
    ],
)
def test_a_handler_is_looked_at_once(
    function: Callable[..., Any], is_async: bool, takes_context: bool
) -> None:
    handler = Handler.of(function)
    assert (handler.is_async, handler.takes_context) == (is_async, takes_context)


def nothing() -> None: ...
def three(a: Any, b: Any, c: Any) -> None: ...
def keyword(payload: Any, *, model: str) -> None: ...


@pytest.mark.parametrize("function", [nothing, three, keyword])
def test_what_cannot_take_a_payload_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(WorkerError, match=r"\(payload, context\)"):
        Handler.of(function)


def test_a_handler_is_loaded_by_its_path() -> None:
    assert load_handler("tests.instances.test_handlers:plain").function.__name__ == "plain"
    assert load_handler("tests.instances.test_handlers:AGENT.answer").takes_context


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("tests.instances.test_handlers", "module:function"),
        (":plain", "module:function"),
        ("tests.instances.test_handlers:plein", "did you mean 'plain'"),
        ("tests.instances.nowhere:plain", "PYTHONPATH"),
        ("tests.instances.test_handlers:__name__", "not callable"),
        ("tests.instances.needs_missing:handle", "imports it: install it"),
        ("tests.instances.raises_at_import:handle", "raised ZeroDivisionError at import"),
    ],
)
def test_a_wrong_path_says_what_is_wrong(
    path: str, says: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tests.instances as package

    # Given two modules that cannot be imported
    (tmp_path / "needs_missing.py").write_text("import no_such_library\n")
    (tmp_path / "raises_at_import.py").write_text("1 / 0\n")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    # Then each mistake is told apart
    with pytest.raises(WorkerError, match="(?s)" + says.replace("(", r"\(")):
        load_handler(path)


@pytest.mark.parametrize("name", driver_names())
def test_a_driver_is_found_by_its_name(name: str) -> None:
    assert driver_named(name).name == name


def test_an_unknown_driver_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownDriver, match="did you mean 'simulated'"):
        driver_named("simulate")
    with pytest.raises(UnknownDriver, match="known: grpc, openclaw, simulated"):
        driver_named("x")
