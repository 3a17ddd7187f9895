"""The script of circuit breakers does what its model does, and the model lends one probe at a time."""

from __future__ import annotations

import os
import random
from importlib.resources import files

import pytest
import redis

from tests.fleet import breakers
from tests.fleet.breakers import Breaker

SCRIPT = files("edge.control.fleet").joinpath("circuits.lua").read_text()
CLOCK = "redis.call('TIME')"
TARGETS = ("one/first", "two/second")


@pytest.mark.parametrize("seed", range(int(os.environ.get("EDGE_FLEET_SEEDS", "8"))))
def test_the_script_does_what_the_model_does(redis_url: str, seed: int) -> None:
    """Generated histories leave the same state and get the same answer, and nobody has another's probe."""
    rng = random.Random(seed)
    keys = [f"{{edge-test-{seed}}}{name}" for name in ("circuits", "rests")]
    known: dict[str, Breaker] = {}
    rests: dict[str, tuple[int, int]] = {}
    assert SCRIPT.count(CLOCK) == 1
    with redis.Redis.from_url(redis_url, socket_timeout=5, decode_responses=True) as client:
        client.delete(*keys)
        now = 1_800_000_000_000_000
        for step in range(300):
            now += rng.choice([0, 1, 50_000, 200_000, 2_000_000, 70_000_000])
            host = f"host{rng.randint(1, 3)}"
            words = []
            for _ in range(rng.randint(0, 3)):
                target = rng.choice(TARGETS)
                before = known.get(target, Breaker())
                word = (rng.choice(["open", "close", "probe", "rest"]), rng.choice([1, 100_000, 5_000_000]),
                        max(0, before.generation - rng.choice([0, 0, 0, 1])))
                words += [word[0], target, *word[1:]]
                if word[0] == "rest":
                    rests[target] = max(rests.get(target, (0, 0)), (now + word[1], word[2]), key=lambda each: each[0])
                    continue
                known[target] = breakers.hear(before, host, word, now)
                if before.lease > now and before.state == known[target].state == "open":
                    assert known[target].prober == before.prober or known[target].generation > before.generation
            script = SCRIPT.replace(CLOCK, f"{{{now // 1_000_000}, {now % 1_000_000}}}")
            circuits, resting = client.eval(script, 2, *keys, host, breakers.PROBE, breakers.TOLD, *words)
            known = breakers.told(known, now)
            rests = {name: each for name, each in rests.items() if each[0] > now}
            assert client.hgetall(keys[0]) == {name: each.stored() for name, each in known.items()}, f"step {step}"
            assert dict(zip(circuits[1::6], circuits[2::6], strict=True)) == {
                name: str(each.generation) for name, each in known.items()}
            assert dict(zip(circuits[1::6], circuits[6::6], strict=True)) == {
                name: each.prober if each.lease > now else "-" for name, each in known.items()}
            assert dict(zip(resting[::3], resting[1::3], strict=True)) == {
                name: str(until) for name, (until, _) in rests.items()}
        client.delete(*keys)
