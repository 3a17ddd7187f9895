"""Generated histories that the scripts and their models are told alike: what Redis answers, and what it holds then.

A history is a list of (command, what must come of it); None: anything may; a tuple: in any order; a set: pieces of a
level. Scripts get their time as the last two arguments in place of the server's clock, so that all that a model has
said can be asked for in one pipeline.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable
from typing import Any

import redis

from edge.control.fleet import purse
from edge.control.fleet.server import Script
from tests.fleet import breakers, level, lives, places
from tests.fleet.breakers import Breaker

Exchange = tuple[tuple[Any, ...], Any]
CLOCK = "redis.call('TIME')"
BEGIN = 1_800_000_000_000_000
HEX = """return (redis.call('GET', KEYS[1]):gsub('.', function(byte)
    return string.format('%02x', byte:byte())
end))"""
BATCH = 50                  # histories of one pipeline
PARTS = {"level": ("lives",), "places": ("lives",)}     # what stands before a script


class Different(AssertionError):
    """The script does not do what the model does."""


def script(client: redis.Redis, name: str) -> str:
    """The hash of a script that is told its time."""
    text = Script(*PARTS.get(name, ()), name).text
    assert text.count(CLOCK) == 1
    return str(client.script_load(text.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}")))


def call(digest: str, keys: list[str], arguments: Iterable[object], now: int) -> tuple[Any, ...]:
    """The command that runs it."""
    return "EVALSHA", digest, len(keys), *keys, *arguments, now // 1_000_000, now % 1_000_000


def of_level(rng: random.Random, digest: str, prefix: str, steps: int) -> list[Exchange]:
    """Hosts speak of two limits, in their turn or not, by different numbers, while keys and servers come and go."""
    keys = [f"{{{prefix}}}{name}" for name in ("epoch", "lives", "a", "b")]
    now, born, run = BEGIN, 0, "the first run"
    levels: list[level.Level | None] = [None, None]
    alive: lives.Lives = {}
    numbers = [level.Numbers(rng.choice([500_000, 1_000_001, 100_000_000]), rng.choice([1, 5, 1000])) for _ in range(3)]
    made: list[Exchange] = [(("DEL", *keys), None)]
    for step in range(steps):
        now += rng.choice([0, 1, 999, 50_000, 50_000, 50_000, -3000, rng.randint(0, 1_500_000)])
        fate = rng.random()
        if fate < 0.01:
            made.append((("DEL", *keys), None))
            born, alive, levels = 0, {}, [None, None]
        elif fate < 0.02:
            born, alive, run = 0, {}, f"run {step}"
        elif fate < 0.03:
            made.append((("DEL", keys[2]), None))
            levels[0] = None
        elif fate < 0.035:
            made.append((("DEL", keys[1]), None))
            born, alive = 0, {}
        elif fate < 0.04:
            now += rng.choice([-10_000_000, 10_000_000])
        born = born or now
        host = f"host-{rng.randint(1, 4)}"
        version = min(2, 3 * step // steps) if rng.random() < 0.7 else rng.randrange(3)
        alive, life = lives.live(alive, host, now)
        only = rng.random() < 0.1           # it says that it lives, and nothing else
        said = [] if only else [message(rng, each, host, numbers[version], life) for each in levels]
        want: list[object] = [str(life), str(now)]
        for number, one in enumerate(said):
            known = levels[number]
            alive = lives.met(alive, known.leases if known and known.born == born else {}, now)
            levels[number], answer = level.speak(levels[number], born, alive, host, one, now)
            want.append(" ".join(map(str, answer)))
        made.append((call(digest, keys[:2 + len(said)], [host, run, lives.RECLAIM, level.LAST,
                                                         *(purse.packed(one.flat()) for one in said)], now), want))
        if step % 5 == 0 or step == steps - 1:
            made += [(("EVAL", HEX, 1, key), stored(each)) for key, each in zip(keys[2:], levels, strict=True) if each]
    return [*made, (("DEL", *keys), None)]


def message(rng: random.Random, known: level.Level | None, host: str, numbers: level.Numbers,
            life: int) -> level.Message:
    """What a host may say, in its turn or not."""
    past = known.leases.get(host) if known else None
    seq = max(1, (past.seq if past else 0) + rng.choice([-1, 0, 1, 1, 1, 1, 2]))
    ack = rng.choice([max(0, seq - 1), max(0, seq - 2), 0])
    most = numbers.burst
    wanted = rng.choice([0, 1, most])
    lived = rng.choice([0, past.life if past else life, life, 5])
    return level.Message(numbers, seq, ack, lived, rng.randint(0, most), rng.randint(0, most),
                         rng.choice([0, 0, most, 1]), wanted, rng.randint(0, wanted))


def stored(kept: level.Level) -> set[bytes]:
    """A level as the server holds it, in pieces: leases come in any order."""
    head = struct.pack("<7d", kept.credit, kept.at, kept.born, *kept.numbers, *kept.said_at)
    return {b"edge lvm" + head, *(bytes([len(host)]) + host.encode() + struct.pack("<7d", *lease)
                                  for host, lease in kept.leases.items())}


def pieces(text: str) -> set[bytes]:
    """What a server holds, likewise."""
    value = bytes.fromhex(text)
    found, at = {value[:64]}, 64
    while at < len(value):
        end = at + 1 + value[at] + 56
        found.add(value[at:end])
        at = end
    return found


def of_circuits(rng: random.Random, digest: str, prefix: str, steps: int) -> list[Exchange]:
    """Hosts say what they have found of two targets and their keys; nobody gets another's probe."""
    keys = [f"{{{prefix}}}{name}" for name in ("circuits", "rests", "orders")]
    known: dict[str, Breaker] = {}
    rests: dict[str, tuple[int, int]] = {}
    orders: dict[str, tuple[int, int]] = {}
    now = BEGIN
    made: list[Exchange] = [(("DEL", *keys), None)]
    for _ in range(steps):
        now += rng.choice([0, 1, 50_000, 200_000, 2_000_000, 70_000_000, 50_000_000_000])
        host, words = f"host{rng.randint(1, 3)}", []
        for _ in range(rng.randint(0, 3)):
            target = rng.choice(["one/first", "two/second"])
            before = known.get(target, Breaker())
            word = (rng.choice(["open", "close", "probe", "rest"]), rng.choice([1, 100_000, 5_000_000]),
                    max(0, before.generation - rng.choice([0, 0, 0, 1])))
            if rng.random() < 0.2:
                word = ("force", rng.randint(0, 2), rng.choice([0, 1, 100_000, 80_000_000]))
                orders = breakers.order(orders, target, word[1:], now)
            words += [word[0], target, *word[1:]]
            if word[0] == "force":
                continue
            if word[0] == "rest":
                rests[target] = max(rests.get(target, (0, 0)), (now + word[1], word[2]), key=lambda each: each[0])
                continue
            after = known[target] = breakers.hear(before, host, word, now)
            assert not before.lease > now or after.generation > before.generation or after.prober == before.prober
        known = breakers.told(known, now)
        rests = {name: each for name, each in rests.items() if each[0] > now}
        orders = breakers.remembered(orders, now)
        want = said(known, rests, orders, now)
        made.append((call(digest, keys, [host, breakers.PROBE, breakers.TOLD, *words], now), want))
        made.append((("HGETALL", keys[0]), {name: each.stored() for name, each in known.items()}))
    return [*made, (("DEL", *keys), None)]


def said(known: dict[str, Breaker], rests: dict[str, tuple[int, int]], orders: dict[str, tuple[int, int]],
         now: int) -> tuple[object, ...]:
    """What the model would answer, in no order."""
    return (str(now), {(name, str(each.generation), each.state, str(each.until), each.voters,
                        each.prober if each.lease > now else "-") for name, each in known.items()},
            {(name, str(until), str(condition)) for name, (until, condition) in rests.items()},
            {(name, str(number), str(given)) for name, (number, given) in orders.items()})


def heard(answer: Any) -> tuple[object, ...]:
    """What the script has answered, likewise."""
    (now, *circuits), rests, orders = answer
    return (now, set(zip(*(circuits[at::6] for at in range(6)), strict=True)),
            *(set(zip(*(each[at::3] for at in range(3)), strict=True)) for each in (rests, orders)))


def of_places(rng: random.Random, digest: str, prefix: str, steps: int) -> list[Exchange]:
    """Hosts say what they have and want of two limits of concurrent requests, as they do of levels."""
    keys = [f"{{{prefix}}}{name}" for name in ("epoch", "lives", "a", "b")]
    now, born, run = BEGIN, 0, "the first run"
    limits: list[places.Limit | None] = [None, None]
    alive: lives.Lives = {}
    numbers = [rng.choice([1, 3, 10, 1000]) for _ in range(3)]
    hosts = rng.choice([2, 4, 9])
    made: list[Exchange] = [(("DEL", *keys), None)]
    for step in range(steps):
        now += rng.choice([0, 1, 999, 50_000, 50_000, -3000, -5_000_000, rng.randint(0, 1_500_000)])
        fate = rng.random()
        if fate < 0.01:
            made.append((("DEL", *keys), None))
            born, alive, limits = 0, {}, [None, None]
        elif fate < 0.02:
            born, alive, run = 0, {}, f"run {step}"
        elif fate < 0.03:
            made.append((("DEL", keys[2]), None))
            limits[0] = None
        elif fate < 0.035:
            made.append((("DEL", keys[1]), None))
            born, alive = 0, {}
        born = born or now
        host = f"host-{rng.randint(1, hosts)}"
        alive, life = lives.live(alive, host, now)
        only = rng.random() < 0.2           # it says that it lives, and nothing else
        said = [] if only else [request(rng, each, host, rng.choice(numbers[3 * step // steps:]), life)
                                for each in limits]
        want: list[object] = [str(life), str(now)]
        for number, one in enumerate(said):
            limits[number], answer = places.speak(limits[number], (born, life), host, one, now)
            want.append(list(vars(answer).values()))
        flat = [value for one in said for value in one.flat()]
        made.append((call(digest, keys[:2 + len(said)], [host, run, lives.RECLAIM, places.LAST, *flat], now), want))
        if step % 5 == 0 or step == steps - 1:
            made += [(("HGETALL", key), filled(each)) for key, each in zip(keys[2:], limits, strict=True) if each]
    return [*made, (("DEL", *keys), None)]


def request(rng: random.Random, known: places.Limit | None, host: str, most: int, life: int) -> places.Message:
    """What a host may say of concurrent requests, in its turn or not."""
    past = known.leases.get(host) if known else None
    seq = max(1, (past.seq if past else 0) + rng.choice([-1, 0, 1, 1, 1, 1, 2]))
    held = rng.randint(0, max(1, min(most, 30)))
    need = held + rng.choice([0, 0, 1, 5, most])
    lived = rng.choice([0, life, life, 5])
    return places.Message(most, seq, lived, held, need, rng.choice([0, held, min(most, need), most]))


def filled(kept: places.Limit) -> dict[str, str]:
    """A limit of concurrent requests as the server holds it."""
    leases = {f"h:{host}": " ".join(str(value) for value in vars(one).values()) for host, one in kept.leases.items()}
    return {"limit": f"{kept.born} {kept.rest} {kept.most} {kept.most_at}", **leases}


KINDS: dict[str, Callable[[random.Random, str, str, int], list[Exchange]]] = {
    "level": of_level, "circuits": of_circuits, "places": of_places}


def compare(client: redis.Redis, name: str, seeds: Iterable[int], steps: int) -> int:
    """Tells the histories of these seeds to a script; how many exchanges they had. Different: not as the model."""
    digest, count = script(client, name), 0
    seeds = list(seeds)
    for first in range(0, len(seeds), BATCH):
        batch = seeds[first:first + BATCH]
        made = [KINDS[name](random.Random(seed), digest, f"edge-{name}-{seed}", steps) for seed in batch]
        pipe = client.pipeline(transaction=False)
        for history in made:
            for command, _ in history:
                pipe.execute_command(*command)
        answers = iter(pipe.execute(raise_on_error=False))
        for seed, history in zip(batch, made, strict=True):
            for at, (command, want) in enumerate(history):
                got = next(answers)
                read = heard if isinstance(want, tuple) else pieces if isinstance(want, set) else None
                if want is not None and (read(got) if read else got) != want:
                    raise Different(f"seed {seed} of {name}, exchange {at}: {command}\n{got}\nand not {want}")
            count += len(history)
    return count
