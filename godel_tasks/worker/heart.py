"""HeartStep: a dispatcher's attempts in the heartbeats of its worker.

Celery counts the messages that a worker runs, and a dispatcher runs none: Flower would say that
nothing is active.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from godel_tasks.worker.service import DispatchService


class HeartStep(bootsteps.StartStopStep):
    """A step of the consumer: heartbeats start anew with each connection to the broker."""

    requires = ("celery.worker.consumer.heart:Heart",)

    def start(self, consumer: Any) -> None:
        service: DispatchService | None = getattr(consumer.controller, "dispatch_service", None)
        # A worker that was started --without-heartbeat has none.
        if service is not None and consumer.heart is not None:
            consumer.heart.eventer = _Counting(consumer.heart.eventer, service)


class _Counting:
    """An event dispatcher of Celery's that counts attempts in."""

    def __init__(self, eventer: Any, service: DispatchService) -> None:
        self._eventer = eventer
        self._service = service

    @property
    def enabled(self) -> bool:
        return bool(self._eventer.enabled)

    def send(self, kind: str, *, active: int, processed: int, **fields: Any) -> Any:
        in_flight, settled = self._service.numbers()
        return self._eventer.send(
            kind, active=active + in_flight, processed=processed + settled, **fields
        )
