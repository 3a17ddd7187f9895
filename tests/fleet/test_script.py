"""The scripts on a real server do what their models do."""

from __future__ import annotations

import pytest
import redis

from tests.fleet import histories

HISTORIES = 24              # many more by `python -m tests.fleet.prove scripts`


@pytest.mark.parametrize("name", ["level", "circuits"])
def test_a_script_does_what_its_model_does(redis_url: str, name: str) -> None:
    """Generated histories get the same answers, and leave the same state, from script and model."""
    with redis.Redis.from_url(redis_url, socket_timeout=30, decode_responses=True) as client:
        assert histories.compare(client, name, range(HISTORIES), 60) > HISTORIES * 60
