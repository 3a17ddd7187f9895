"""The scripts on a real server do what their models do."""

from __future__ import annotations

import pytest
import redis

from edge.control.fleet import purse
from edge.control.fleet.server import Script
from tests.fleet import histories, level

HISTORIES = 24              # many more by `python -m tests.fleet.prove scripts`


@pytest.mark.parametrize("name", histories.KINDS)
def test_a_script_does_what_its_model_does(redis_url: str, name: str) -> None:
    """Generated histories get the same answers, and leave the same state, from script and model."""
    with redis.Redis.from_url(redis_url, socket_timeout=30, decode_responses=True) as client:
        assert histories.compare(client, name, range(HISTORIES), 60) > HISTORIES * 60


def test_a_level_of_the_version_before_gives_way(redis_url: str) -> None:
    """Its key becomes ours, empty, and rests for as long as units are out that were drawn of it."""
    host, epoch, lives, key = "host-1", "{before}epoch", "{before}lives", "{before}limit"
    said = purse.packed(level.Message(level.Numbers(1_000_000, 100), 1, 0, 0, 0, 0, 0, 50, 1).flat())
    with redis.Redis.from_url(redis_url, socket_timeout=30, decode_responses=True) as client:
        client.delete(epoch, lives, key)
        born = int(client.time()[0]) * 1_000_000
        client.set(epoch, f"{born} run")
        client.hset(key, mapping={"level": f"100000000 {born} {born} 1000000 100 {born} {born}",
                                  "h:host-2": f"7 10 10 {born + 9_000_000} 1"})
        digest = client.script_load(Script("level").text)
        _, _, answer = client.evalsha(digest, 3, epoch, lives, key, host, "run", *purse.RECLAIM, said)
        assert list(map(int, answer.split())) == [0, -level.RECLAIM * 1000, 1_000_000, 100, 1]
        assert client.type(key) == "string"
        client.delete(epoch, lives, key)
