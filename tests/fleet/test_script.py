"""The Lua script on a real server does what the model does."""

from __future__ import annotations

import os
import random
from importlib.resources import files

import pytest
import redis

from tests.fleet import level

SCRIPT = files("edge.control.fleet").joinpath("level.lua").read_text()
CLOCK = "redis.call('TIME')"


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDGE_FLEET_SEEDS", "8"))))
def test_the_script_does_what_the_model_does(redis_url: str, seed: int) -> None:
    """Generated histories get the same answer, and leave the same state, from script and model at every step."""
    rng = random.Random(seed)
    assert SCRIPT.count(CLOCK) == 1
    keys = [f"{{edge-test-{seed}}}{name}" for name in ("epoch", "a", "b")]
    with redis.Redis.from_url(redis_url, socket_timeout=5, decode_responses=True) as client:
        client.delete(*keys)
        script = client.register_script(SCRIPT.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))
        now, born, run = 1_800_000_000_000_000, 0, "the first run"
        levels: list[level.Level | None] = [None, None]
        choices = [level.Numbers(since, rng.choice([500_000, 1_000_001, 100_000_000]), rng.choice([1, 5, 1000]))
                   for since in (7, 8, 9)]
        for step in range(300):
            now += rng.choice([0, 1, 999, 50_000, 50_000, -3000, rng.randint(0, 1_500_000)])
            fate = rng.random()
            if fate < 0.01:
                client.delete(*keys)
                born, levels = 0, [None, None]
            elif fate < 0.02:
                born, run = 0, f"run {step}"
            elif fate < 0.03:
                client.delete(keys[1])
                levels[0] = None
            born = born or now
            host = f"host-{rng.randint(1, 4)}"
            said = [message(rng, each, host, choices[min(2, step // 100)], born) for each in levels]
            flat = [value for one in said for value in one.flat()]
            got = script(keys, [host, run, level.RECLAIM, *flat, now // 1_000_000, now % 1_000_000])
            want: list[object] = [str(born), str(now)]
            for number, one in enumerate(said):
                levels[number], answer = level.speak(levels[number], born, host, one, now)
                want.append([answer.granted, str(answer.credit), str(answer.interval), str(answer.burst), answer.hosts])
            assert got == want, f"seed {seed}, step {step}"
            for key, each in zip(keys[1:], levels, strict=True):
                assert client.hgetall(key) == stored(each), f"seed {seed}, step {step}"
        client.delete(*keys)


def message(rng: random.Random, known: level.Level | None, host: str, numbers: level.Numbers,
            born: int) -> level.Message:
    """What a host may say, in its turn or not."""
    past = known.leases.get(host) if known else None
    seq = max(1, (past.seq if past else 0) + rng.choice([-1, 0, 1, 1, 1, 1, 2]))
    ack = rng.choice([max(0, seq - 1), max(0, seq - 2), 0])
    most = numbers.burst
    wanted = rng.choice([0, 1, most])
    epoch = rng.choice([0, known.born if known else born, 5])
    return level.Message(numbers, seq, ack, epoch, rng.randint(0, most), rng.randint(0, most),
                         rng.choice([0, 0, most, 1]), wanted, rng.randint(0, wanted))


def stored(kept: level.Level | None) -> dict[str, str]:
    """As the server holds it."""
    assert kept is not None
    leases = {f"h:{host}": " ".join(str(value) for value in vars(one).values()) for host, one in kept.leases.items()}
    numbers = " ".join(str(value) for value in vars(kept.numbers).values())
    return {"level": f"{kept.credit} {kept.at} {kept.born} {numbers}", **leases}
