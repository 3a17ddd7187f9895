"""Many limits in use at once over several hosts: what they cost Redis, and how many calls they are.

`python -m tests.fleet.crowd` runs the controls of hosts with shared memory of their own and a Redis of theirs. In the
place of workers one loop for each host takes from the purses, as requests at random times would. Exit code 1: a
promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

from edge._fast import Slab, monotonic
from edge.config.reading import load
from edge.control.fleet.process import Fleet
from edge.control.state import State
from edge.process.bell import Rope
from edge.values.directory import all_limits
from edge.values.registry import Registry, apply, prepare
from edge.values.snapshot import Limit
from tests.faults.load import progress, verdict
from tests.fleet.server import Server
from tests.support.gateway import KEY

CORE = 0.3                  # of one that Redis may use
SHORT = -1
TURN = 0.005                # seconds between two looks at who would have come


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many limits of `rate` a second, each asked for `asked` times a second at each of so many hosts."""

    limits: int
    hosts: int
    rate: float
    asked: float


def state(crowd: Crowd, url: str, memory: Slab) -> State:
    """A host's configuration."""
    provider = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "key": "env:PROVIDER_KEY"}
    text = json.dumps({"port": 0, "listen_addr": "127.0.0.1", "workers": 1, "providers": {"up": provider},
                       "redis": {"url": url}, "keys": [{"name": "key", "key": "env:TEST_KEY"}]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "edge.yaml")
        path.write_text(text)
        snapshot = load(str(path), environ={"PROVIDER_KEY": "sk-provider", "TEST_KEY": KEY})
    limit = Limit(crowd.rate, max(1, int(crowd.rate)))
    snapshot = replace(snapshot, keys=tuple(
        replace(snapshot.keys[0], name=f"key-{number}", digest=number.to_bytes(32, "big"), limit=limit)
        for number in range(crowd.limits)))
    registry = Registry()
    apply(memory, registry, snapshot, prepare(memory, registry, snapshot))
    return State.of(memory, registry, snapshot)


async def take(crowd: Crowd, fleet: Fleet, indices: list[int], found: dict[int, int]) -> None:
    """The requests of a host, until cancelled."""
    rope, rng, due = Rope(fleet.purses.fleet.host), random.Random(os.getpid()), 0.0
    last, waiting = time.monotonic(), list[int]()
    while True:
        await asyncio.sleep(TURN)
        now = time.monotonic()
        due, last = due + (now - last) * crowd.limits * crowd.asked, now
        moment, rang, asking, waiting = monotonic(), False, set(waiting), list[int]()
        for index in [*asking, *(indices[int(rng.random() * len(indices))] for _ in range(int(due)))]:
            wait = fleet.purses.take(index, 1, moment)
            if wait != SHORT or index not in asking:
                found[min(1, wait)] += 1
            if wait == 0:
                fleet.purses.settle(index, 1, 1, moment, moment)
            elif wait == SHORT:
                rang = True
                waiting.append(index)
        due -= int(due)
        if rang:
            rope.ring()


async def live(crowd: Crowd, url: str, warm: float, seconds: float) -> tuple[int, int, int, int, float]:
    """A host: how many requests had their unit, missed it and were refused; calls, and this host's own CPU."""
    memory = Slab(1)
    fleet = Fleet((state_ := state(crowd, url, memory)).snapshot.redis, state_)     # type: ignore[arg-type]
    indices = [each.index for each in all_limits(memory)]
    found = {0: 0, SHORT: 0, 1: 0}
    tasks = [asyncio.create_task(fleet.run()), asyncio.create_task(take(crowd, fleet, indices, found))]
    await asyncio.sleep(warm)
    before, calls, busy = dict(found), fleet.talk.calls, time.process_time()
    await asyncio.sleep(seconds)
    result = (*(found[each] - before[each] for each in (0, SHORT, 1)), fleet.talk.calls - calls,
              (time.process_time() - busy) / seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return result


def host(crowd: Crowd, url: str, times: tuple[float, float], results: Queue[tuple[int, int, int, int, float]]) -> None:
    """A process."""
    results.put(asyncio.run(live(crowd, url, *times)))


def cpu(pid: int) -> float:
    """Seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(crowd: Crowd, warm: float, seconds: float) -> list[tuple[str, bool]]:
    """One crowd."""
    context = get_context("spawn")
    with Server() as server, server.client() as client:
        results = context.Queue()
        processes = [context.Process(target=host, args=(crowd, server.url, (warm, seconds), results))
                     for _ in range(crowd.hosts)]
        for process in processes:
            process.start()
        while client.hlen("{edge}:hosts") < crowd.hosts:
            time.sleep(0.05)
        progress(f"{crowd}")
        time.sleep(warm)
        before, told = cpu(server.process.pid), client.info("commandstats").get("cmdstat_set", {}).get("calls", 0)
        time.sleep(seconds - 1)
        used = (cpu(server.process.pid) - before) / (seconds - 1)
        spoken = (client.info("commandstats")["cmdstat_set"]["calls"] - told) / (seconds - 1)
        found = [results.get() for _ in processes]
        for process in processes:
            process.join()
    had, missed, refused, calls, own = (sum(each) for each in zip(*found, strict=True))
    each = seconds * crowd.hosts
    print(f"| {crowd.limits:,} × {crowd.rate:g}/s | {crowd.asked:g} | {(had + refused) / seconds:,.0f} | {used:.0%} | "
          f"{spoken:,.0f} | {used / spoken * 1e6:.1f} | {calls / each:.1f} | {missed / max(1, had):.1%} | "
          f"{own / crowd.hosts:.0%} |", flush=True)
    name = f"{crowd.limits:,} limits of {crowd.rate:g}/s, {crowd.asked:g} a second at each of {crowd.hosts} hosts"
    return [(f"{name}: at most {CORE:.0%} of a core of Redis", used <= CORE)]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.fleet.crowd", description=__doc__)
    parser.add_argument("--limits", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--hosts", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--rate", type=float, nargs="*", default=[100.0, 10.0], help="of each, a second (%(default)s)")
    parser.add_argument("--asked", type=float, nargs="*", default=[0.2, 1.0], help="at a host, a second (%(default)s)")
    parser.add_argument("--warm", type=float, default=8.0, help="seconds (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (%(default)s)")
    given = parser.parse_args()
    print("| limits | asked for, a second and host | requests a second | of a core of Redis | limits spoken of | us "
          "each | calls a second and host | missed | of a core, each control and its requests |\n" + "|---" * 9 + "|")
    return verdict([promise for rate in given.rate for asked in given.asked
                    for promise in measure(Crowd(given.limits, given.hosts, rate, asked), given.warm, given.seconds)])


if __name__ == "__main__":
    sys.exit(main())
