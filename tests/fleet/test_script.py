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


@pytest.mark.parametrize(("magic", "answer"), [
    (b"edge lvl", "0 0 1000000 100 1"), (b"edge lvz", "-2 hosts of a newer version of edge"),
    (b"whatever", "-2 a string that is not ours is in its place: choose another redis.prefix")])
def test_a_level_of_another_version(redis_url: str, magic: bytes, answer: str) -> None:
    """One of a version before becomes ours, empty as long as units may be out of it; a newer one is left alone."""
    keys = [f"{{other}}{name}" for name in ("epoch", "lives", "limit")]
    said = purse.packed(level.Message(level.Numbers(1_000_000, 100), 1, 0, 0, 0, 0, 0, 50, 1).flat())
    with redis.Redis.from_url(redis_url, socket_timeout=30) as client:
        client.delete(*keys)
        client.set(keys[2], magic + bytes(200))
        digest = client.script_load(Script("lives", "level").text)
        for _ in range(2):
            assert client.evalsha(digest, 3, *keys, "host-1", "run", *purse.RECLAIM, said)[2].startswith(
                answer.encode())
        assert (client.get(keys[2])[:8] == magic) == answer.startswith("-2")
        client.delete(*keys)
