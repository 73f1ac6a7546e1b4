"""ResultFeed: results of many tasks as they come, over one connection.

Subscribed to each result's channel, where the publisher says what it wrote. A message can be
missed (a connection that broke), so whoever reads the feed looks at the results themselves now
and then, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import redis
from redis.exceptions import RedisError

from godel_tasks.store.executor import connect_sync, translate
from godel_tasks.store.keys import result_key

_PREFIX = result_key("").encode()
#: Channels in one command.
_BATCH = 500


class ResultFeed:
    """Open it with a URL, `watch` ids, `read` what came."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = connect_sync(url)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._watched: set[str] = set()

    def watch(self, task_ids: Iterable[str]) -> None:
        """Hear of these results, also of those that come before the first `read`.

        Raises:
            StoreUnavailable
        """
        ids = list(task_ids)
        self._watched.update(ids)
        try:
            for batch in _batches(ids):
                self._pubsub.subscribe(*map(result_key, batch))
        except (RedisError, OSError) as error:
            raise translate(error) from error

    def forget(self, task_ids: Iterable[str]) -> None:
        """Hear of these no more.

        Raises:
            StoreUnavailable
        """
        ids = [task_id for task_id in task_ids if task_id in self._watched]
        self._watched.difference_update(ids)
        try:
            for batch in _batches(ids):
                self._pubsub.unsubscribe(*map(result_key, batch))
        except (RedisError, OSError) as error:
            raise translate(error) from error

    def read(self, timeout_s: float) -> dict[str, bytes]:
        """What has come: task id → stored result. Waits up to `timeout_s` for the first.

        Raises:
            StoreUnavailable: `reopen` and look at the results themselves.
        """
        found: dict[str, bytes] = {}
        deadline = time.monotonic() + timeout_s
        if not self._watched:
            time.sleep(timeout_s)
            return found
        try:
            while True:
                left = 0.0 if found else max(0.0, deadline - time.monotonic())
                message = self._pubsub.get_message(timeout=left)
                if message is not None:
                    found[message["channel"].removeprefix(_PREFIX).decode()] = message["data"]
                elif found or time.monotonic() >= deadline:
                    return found
        except (RedisError, OSError) as error:
            raise translate(error) from error

    def reopen(self) -> None:
        """A new connection that watches the same ids.

        Raises:
            StoreUnavailable
        """
        self._pubsub.close()
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self.watch(self._watched)

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


def _batches(ids: list[str]) -> Iterator[list[str]]:
    for i in range(0, len(ids), _BATCH):
        yield ids[i : i + _BATCH]
