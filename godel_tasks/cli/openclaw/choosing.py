"""Which model a gateway is started with: chosen by somebody, never by default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import typer

from godel_tasks.openclaw.template import Model, key_value

#: What the stand-in calls its model.
STANDIN_MODEL = "standin"


@dataclass(frozen=True, slots=True)
class Given:
    """The options about the model, as they were given."""

    url: str = ""
    name: str = ""
    key: str = ""
    price_in: float = 0.0
    price_out: float = 0.0
    standin: str = ""


def chosen(given: Given, known: Model | None) -> Model:
    """The model that the options choose; without any, the one of the gateway's last start.

    Raises:
        BadParameter: none is chosen, or in two ways.
        InstanceError: its key is no reference, or the variable is not set.
    """
    if given.standin:
        if given.url or given.name or given.key:
            raise typer.BadParameter("Give --standin, or --model-url and --model; not both.")
        return Model(_url(given.standin, "--standin"), STANDIN_MODEL, standin=True)
    if given.url:
        if not given.name:
            raise typer.BadParameter("Say which model, too.", param_hint="--model")
        if given.key:
            key_value(given.key, os.environ)
        url = _url(given.url, "--model-url")
        return Model(url, given.name, given.key, given.price_in, given.price_out)
    if given.name or given.key or given.price_in or given.price_out:
        raise typer.BadParameter("Say where the model is, too.", param_hint="--model-url")
    if known is None:
        raise typer.BadParameter(
            "Choose a model: --model-url URL --model ID [--model-key env:NAME], or --standin URL "
            "for made-up answers (`godel openclaw standin-model` serves them)."
        )
    if known.key:
        key_value(known.key, os.environ)
    return known


def _url(text: str, option: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise typer.BadParameter("Give a URL like http://127.0.0.1:18001/v1.", param_hint=option)
    if parts.password or parts.username:
        # Not shown again.
        raise typer.BadParameter(
            "A key does not belong in the URL; give it with --model-key env:NAME.",
            param_hint=option,
        )
    return text.rstrip("/")
