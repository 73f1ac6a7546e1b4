"""Receivers that note what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.utils.dispatch import Signal


class Heard:
    """Arguments of each time that a signal came, in order."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, **named: Any) -> None:
        self.calls.append(named)

    @property
    def senders(self) -> list[Any]:
        return [call["sender"] for call in self.calls]


@contextmanager
def listening(*signals: Signal, act: Any = None) -> Iterator[list[Heard]]:
    """A receiver for each signal, as long as it lasts; `act(**named)` is called after each note."""
    heard = [Heard() for _ in signals]
    receivers = []
    for signal, notes in zip(signals, heard, strict=True):

        def receive(notes: Heard = notes, **named: Any) -> None:
            notes(**named)
            if act is not None:
                act(**named)

        signal.connect(receive, weak=False)
        receivers.append((signal, receive))
    try:
        yield heard
    finally:
        for signal, receive in receivers:
            signal.disconnect(receive)
