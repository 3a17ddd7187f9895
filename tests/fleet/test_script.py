"""The Lua script on a real server does what the model does."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import redis

from tests.fleet import level

SCRIPT = Path(level.__file__).with_suffix(".lua").read_text()
CLOCK = "redis.call('TIME')"
KEYS = ["{edge-test}epoch", "{edge-test}a", "{edge-test}b"]


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDGE_FLEET_SEEDS", "8"))))
def test_the_script_does_what_the_model_does(redis_url: str, seed: int) -> None:
    """Generated histories get the same answer, and leave the same state, from script and model at every step."""
    rng = random.Random(seed)
    assert SCRIPT.count(CLOCK) == 1
    with redis.Redis.from_url(redis_url, socket_timeout=5, decode_responses=True) as client:
        client.delete(*KEYS)
        script = client.register_script(SCRIPT.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))
        now, born, levels = 1_800_000_000_000_000, 0, [None, None]
        interval, burst = rng.choice([500_000, 1_000_001, 100_000_000]), rng.choice([1, 5, 1000])
        for step in range(300):
            now += rng.choice([0, 1, 999, 50_000, 50_000, -3000, rng.randint(0, 1_500_000)])
            if rng.random() < 0.01:
                client.delete(*KEYS)
                born, levels = 0, [None, None]
            born = born or now
            host = f"host-{rng.randint(1, 4)}"
            said = []
            for number in range(2):
                past = levels[number].leases.get(host) if levels[number] else None
                seq = max(1, (past.seq if past else 0) + rng.choice([-1, 0, 1, 1, 1, 1, 2]))
                ack = rng.choice([max(0, seq - 1), max(0, seq - 2), 0])
                numbers = (rng.randint(0, burst), rng.randint(0, burst), rng.choice([0, 1, burst]))
                said.append(level.Message(interval, burst, seq, ack, *numbers))
            flat = [value for one in said for value in vars(one).values()]
            got = script(KEYS, [host, level.RECLAIM, *flat, now // 1_000_000, now % 1_000_000])
            want: list[object] = [str(born)]
            for number in range(2):
                levels[number], answer = level.speak(levels[number], born, host, said[number], now)
                want.append(list(vars(answer).values()))
            assert got == want, f"seed {seed}, step {step}"
            for number in range(2):
                assert client.hgetall(KEYS[number + 1]) == _stored(levels[number]), f"seed {seed}, step {step}"
        client.delete(*KEYS)


def _stored(kept: level.Level) -> dict[str, str]:
    leases = {f"h:{host}": " ".join(str(value) for value in vars(one).values()) for host, one in kept.leases.items()}
    return {"credit": str(kept.credit), "at": str(kept.at), **leases}
