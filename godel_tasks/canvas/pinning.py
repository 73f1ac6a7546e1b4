"""Pinning: Celery's options that say what follows a task, made into what the cell keeps.

Every signature gets its task ids now (Celery's freeze), and ordinary tasks their queue and the
options of their class: the dispatcher that applies them later knows neither task nor routes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from celery import Celery, _state
from celery.canvas import maybe_signature
from celery.utils.functional import maybe_list
from kombu.exceptions import KombuError
from kombu.utils.json import dumps, loads

from godel_tasks.canvas.current import current
from godel_tasks.errors import InvalidTask

#: Options of Celery's that say what follows.
FOLLOWING_OPTIONS = ("link", "link_error", "chain", "chord")
#: Where ordinary tasks go that no app of this process knows: Celery's own default.
UNKNOWN_QUEUE = "celery"

_LINKS = UUID("c7b0f7e2-1c0f-5a53-9a3d-2f6f0c8e41d9")
_COMPOSED = frozenset({"chain", "group", "chord"})
_MAPS = frozenset({"celery.map", "celery.starmap", "celery.chunks"})
#: What a task's class may say about its messages.
_CLASS_OPTIONS = (
    "queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode",
    "compression", "time_limit", "soft_time_limit", "ignore_result",
)  # fmt: skip


def pin(app: Celery, own_name: str, options: Mapping[str, Any]) -> bytes:
    """What follows, as JSON; b"" when nothing does. `own_name`: the task that needs no broker.

    Raises:
        InvalidTask: something in it is no signature, cannot be sent, or cannot be called later.
    """
    kept: dict[str, Any] = {}
    children: list[Any] = []
    for option in ("link", "link_error", "chain"):
        given = options.get(option)
        if not given:
            continue
        pairs = [_pinned(app, own_name, option, each) for each in maybe_list(given) or ()]
        kept[option] = [signature for signature, _ in pairs]
        if option == "link":
            children += [result for _, result in pairs]
        elif option == "chain":
            children.append(pairs[-1][1])
    if options.get("chord"):
        kept["chord"], _ = _pinned(app, own_name, "chord", options["chord"])
    if not kept:
        return b""
    for option in ("group_id", "group_index", "root_id"):
        if options.get(option) is not None:
            kept[option] = options[option]
    kept["children"] = children
    return _encode("options", kept)


def unpin(canvas: bytes) -> dict[str, Any]:
    """The options as `pin` was given them, and `children`."""
    found: dict[str, Any] = loads(canvas)
    return found


def signature_of(app: Celery, given: Any) -> Any:
    """A signature, or the dict of one, as an object that belongs to an app."""
    return maybe_signature(given, app=app)


def _encode(what: str, value: Any) -> bytes:
    try:
        return str(dumps(value)).encode()
    except (TypeError, ValueError, KombuError) as error:
        raise InvalidTask(
            f"{what} cannot be sent: {error}", hint="arguments of what follows must be plain JSON"
        ) from error


def _pinned(app: Celery, own_name: str, option: str, given: Any) -> tuple[Any, Any]:
    """A copy with its ids, and its result as Celery keeps it in a trail."""
    if not isinstance(given, Mapping) or "task" not in given:
        raise InvalidTask(
            f"{option}: {given!r} is not a signature", hint="use a signature, as task.s(...)"
        )
    if option == "link_error":
        _refuse_called_errback(app, given)
    raw = loads(_encode(option, given))
    for here, there in zip(nested(given), nested(raw), strict=True):
        if here["task"] != own_name and here.get("subtask_type") not in _COMPOSED:
            there["options"] = {**there["options"], **_options_of(app, here)}
    with current(app):
        copy = signature_of(app, raw)
        if not copy.id:
            copy.freeze()
        _freeze_links(app, copy)
    return copy, _result_of(copy)


def _result_of(signature: Any) -> Any:
    """The result of a signature that has its ids, as `as_tuple` of Celery's results gives it. The
    result itself would subscribe to the backend."""
    kwargs = signature.get("kwargs") or {}
    match signature.get("subtask_type"):
        case "group":
            parts = [_result_of(task) for task in kwargs["tasks"]]
            return [[signature["options"]["task_id"], None], parts]
        case "chain":
            return _result_of(kwargs["tasks"][-1])
        case "chord":
            return _result_of(kwargs["body"])
    return [[signature["options"]["task_id"], None], None]


def _freeze_links(app: Celery, signature: Any) -> None:
    """What is linked to signatures inside gets ids that derive from theirs: a chord's body travels
    with each member, and every copy must say the same."""
    for each in nested(signature):
        for option in ("link", "link_error"):
            linked = []
            for n, given in enumerate(maybe_list(each["options"].get(option)) or ()):
                link = signature_of(app, given)
                owner = each["options"].get("task_id")
                link.freeze(str(uuid5(_LINKS, f"{owner} {option} {n}")) if owner else None)
                linked.append(link)
            if linked:
                each["options"][option] = linked


def nested(signature: Any) -> Iterator[Any]:
    """It and every signature inside it, the same ones in the same order for a copy."""
    if not isinstance(signature, Mapping):
        return
    yield signature
    kwargs, options = signature.get("kwargs") or {}, signature.get("options") or {}
    inner = [options.get(option) for option in FOLLOWING_OPTIONS]
    if signature.get("subtask_type") in _COMPOSED:
        inner += [kwargs.get(part) for part in ("tasks", "header", "body")]
    for part in inner:
        if isinstance(part, Mapping):
            yield from nested(part)
        elif isinstance(part, Sequence) and not isinstance(part, str):
            for each in part:
                yield from nested(each)


def _type_of(app: Celery, signature: Any) -> Any:
    """The task of a signature, in whichever app of this process it is. Celery shares tasks with all
    apps, Godel's too: that one goes last."""
    known = getattr(signature, "_type", None)
    if known is not None:
        return known
    others: list[Any] = [each for each in _state._get_active_apps() if each is not app]  # type: ignore[attr-defined]  # noqa: SLF001
    here = _state.get_current_app()
    for each in [*sorted(others, key=lambda other: other is not here), app]:
        # Not `.tasks`, which would finalize every app.
        if signature["task"] in each._tasks:  # noqa: SLF001
            return each._tasks[signature["task"]]  # noqa: SLF001
    return None


def _options_of(app: Celery, signature: Any) -> dict[str, Any]:
    options: dict[str, Any] = signature.get("options") or {}
    if any(options.get(option) for option in ("queue", "exchange", "routing_key")):
        return {}
    if signature["task"] in _MAPS:
        # Celery sends these as tasks of its own, by the route of the task inside.
        signature = signature["kwargs"]["task"]
    task = _type_of(app, signature)
    if task is None:
        return {"queue": UNKNOWN_QUEUE}
    own = {o: value for o in _CLASS_OPTIONS if (value := getattr(task, o, None)) is not None}
    own = {option: value for option, value in own.items() if option not in options}
    router = task.app.amqp.router
    routed = router.route(
        {**own, **options}, task.name, signature["args"], signature["kwargs"], task
    )
    queue = routed.get("queue")
    if queue is not None:
        return {**own, "queue": getattr(queue, "name", queue)}
    return {**own, **{o: routed[o] for o in ("exchange", "routing_key") if o in routed}}


def _refuse_called_errback(app: Celery, signature: Any) -> None:
    """Celery calls an errback with several parameters in the process of the failed task."""
    header = getattr(_type_of(app, signature), "__header__", None)
    if header is None or isinstance(header, partial) or signature.get("immutable"):
        return
    if _parameters_left(header, signature) > 1:
        raise InvalidTask(
            f"link_error: {signature['task']} takes (request, exc, traceback), and would have to "
            "run in the dispatcher, which does not know it",
            hint="use one that takes the failed task's id only: it is sent to its own worker",
        )


def _parameters_left(header: Any, signature: Any) -> int:
    """How many arguments by position it still has room for; one if that cannot be told."""
    try:
        bound = inspect.signature(partial(header, *signature["args"], **signature["kwargs"]))
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = signature["kwargs"]
    return sum(p.kind in kinds and name not in given for name, p in bound.parameters.items())


__all__ = ["FOLLOWING_OPTIONS", "UNKNOWN_QUEUE", "nested", "pin", "signature_of", "unpin"]
