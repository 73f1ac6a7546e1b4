"""The servers that all other tests run on are what they say they are."""

from __future__ import annotations

import pytest
import redis


def test_the_plain_server_is_empty_and_takes_writes(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.set("a", 1)


def test_the_cluster_server_refuses_keys_of_two_slots(cluster_url: str) -> None:
    with redis.Redis.from_url(cluster_url) as client:
        assert client.eval("return #KEYS", 2, "{c00}:a", "{c00}:b") == 2
        with pytest.raises(redis.ResponseError, match=r"(?i)slot"):
            client.eval("return #KEYS", 2, "{c00}:a", "{c01}:b")
