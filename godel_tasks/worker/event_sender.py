"""EventSender: Celery events to the broker, many in one message."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from celery import Celery
from celery.events.event import get_exchange
from kombu import Connection, Exchange, Producer
from kombu.exceptions import KombuError
from redis import RedisError

from godel_tasks.worker.celery_events import CeleryEvent

log = structlog.get_logger("godel.events")

#: Who sends tries again; kombu would do so for ever.
NO_PATIENCE = {"max_retries": 1, "interval_start": 0, "socket_timeout": 2}


class EventSender:
    """One connection of its own, made when it is needed, and anew after an error. `hostname` is the
    node that the events are of. Blocks; for one thread."""

    #: They come with the connection.
    _exchange: Exchange
    _producer: Producer

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._connection: Connection | None = None
        #: The last attempt failed.
        self.away = False

    def send(self, events: Sequence[CeleryEvent], routing_key: str = "task.multi") -> bool:
        """One message with all of them. False when the broker did not take it; the log says so
        once, and once more when it takes messages again."""
        clock = self._app.clock  # type: ignore[attr-defined]
        about = {"hostname": self._hostname, "pid": os.getpid()}
        stamped = [{**about, "clock": clock.forward(), **event} for event in events]
        try:
            self._publish(stamped, routing_key)
        except (KombuError, RedisError, OSError) as error:
            self.close()
            if not self.away:
                self.away = True
                log.warning(
                    "events.held_up",
                    error=str(error),
                    hint="the broker is away: monitors are behind; dispatch goes on",
                )
            return False
        if self.away:
            self.away = False
            log.info("events.flow_again")
        return True

    def say_goodbye(self) -> None:
        """Celery says that the worker is offline before a dispatcher drains; the events since then
        made it look online again."""
        self.send([{"type": "worker-offline", "timestamp": time.time()}], "worker.offline")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(KombuError, RedisError, OSError):
                connection.release()

    def _publish(self, events: list[dict[str, Any]], routing_key: str) -> None:
        if self._connection is None:
            self._connection = self._app.connection_for_write(transport_options=NO_PATIENCE)
            self._exchange = get_exchange(self._connection, name=self._app.conf.event_exchange)
            self._producer = Producer(
                self._connection,
                exchange=self._exchange,
                serializer=self._app.conf.event_serializer,
            )
        self._producer.publish(
            events,
            routing_key=routing_key,
            headers={"hostname": self._hostname},
            delivery_mode=Exchange.TRANSIENT_DELIVERY_MODE,
            retry=False,
        )
