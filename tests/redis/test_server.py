"""The server that the tests use is a real one: it runs scripts, on its own clock."""

from __future__ import annotations

import pytest
import redis

TAKE = """
local time = redis.call('TIME')
local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[1]) - 1
redis.call('SET', KEYS[1], left)
return {left, tonumber(time[1])}
"""


@pytest.fixture
def client(redis_url: str):
    """A client with nothing retried, so that a broken server is seen as broken."""
    with redis.Redis.from_url(redis_url, socket_timeout=5) as connection:
        yield connection


def test_a_script_runs_by_its_hash(client: redis.Redis) -> None:
    """A script that was loaded runs by its hash, counts on the server and reads the server's clock."""
    key = "edge:test:bucket"
    client.delete(key)
    digest = client.script_load(TAKE)
    first, second = client.evalsha(digest, 1, key, 10), client.evalsha(digest, 1, key, 10)
    client.delete(key)
    assert (first[0], second[0]) == (9, 8)
    assert abs(second[1] - client.time()[0]) <= 5


def test_an_unknown_script_is_named_as_such(client: redis.Redis) -> None:
    """A hash that the server does not know is answered with NOSCRIPT, an error of its own."""
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 0)
