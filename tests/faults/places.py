"""One limit of concurrent requests over several hosts: how many the provider has at once, and what Redis is asked.

`python -m tests.faults.places` starts fleets with a Redis of their own, whose clients want more than there is, and
looks at the provider a hundred times a second. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass

from tests.faults.load import progress, verdict
from tests.fleet.server import Server
from tests.fleet.streams import Crowd, Rush
from tests.support.talk import Talk, ask, chat

WARM = 1.0                  # seconds until what is used is measured


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many hosts, of how many workers, keep how many places; `clients` are of each host, `least` must be used."""

    hosts: int
    workers: int
    most: int
    clients: int
    least: float = 0.95


FLEETS = (Fleet(2, 2, 20, 20), Fleet(3, 2, 100, 60), Fleet(3, 1, 1, 4, 0.9))


async def moving(crowd: Crowd, seconds: float, clients: int) -> float:
    """All clients are at one host, and then at the other: what is used on average, from a second after each move on."""
    found = []
    for counts in ([clients, 0], [0, clients], [clients, 0]):
        rush = await crowd.rush(seconds, counts)
        found.append(rush.mean(WARM, seconds))
    return sum(found) / len(found)


def report(name: str, crowd: Crowd, used: float, calls: float, most: int) -> None:
    """A row."""
    print(f"| {name} | {most} | {crowd.peak()} | {used:.1%} | {calls:.1f} |", flush=True)


def sustained(fleet: Fleet, seconds: float, patience: float) -> list[tuple[str, bool]]:
    """All hosts want more than there is."""
    name = f"{fleet.hosts} hosts x {fleet.workers}"
    with Server() as server, Crowd(server, {"concurrent_requests": fleet.most}, hosts=fleet.hosts,
                                   workers=fleet.workers, redis={"patience": patience}) as crowd:
        crowd.stream = chat(stream=True, fault="tokens=3;delay=100")
        progress(f"{name}, {fleet.most} places")
        calls = sum(host.metric("edge_redis_calls_total") for host in crowd.hosts)
        rush = asyncio.run(crowd.rush(seconds, fleet.clients))
        calls = sum(host.metric("edge_redis_calls_total") for host in crowd.hosts) - calls
        used = rush.mean(WARM, seconds) / fleet.most
        report(name, crowd, used, calls / seconds / fleet.hosts, fleet.most)
        served = {host for host, status in rush.answers if status == "200"}
        return [(f"{name}, {fleet.most}: never more than there are places", crowd.peak() <= fleet.most),
                (f"{name}, {fleet.most}: {fleet.least:.0%} are used", used >= fleet.least),
                (f"{name}, {fleet.most}: all hosts are served", len(served) == fleet.hosts)]


def hot(seconds: float, patience: float, most: int = 40) -> list[tuple[str, bool]]:
    """A host that is asked for more than there is, and then the other one."""
    with Server() as server, Crowd(server, {"concurrent_requests": most}, redis={"patience": patience}) as crowd:
        crowd.stream = chat(stream=True, fault="tokens=3;delay=100")
        progress("a hot host that moves")
        calls = sum(host.metric("edge_redis_calls_total") for host in crowd.hosts)
        used = asyncio.run(moving(crowd, seconds / 2, most + most // 2)) / most
        calls = sum(host.metric("edge_redis_calls_total") for host in crowd.hosts) - calls
        report("2 hosts x 2, one hot, then the other", crowd, used, calls / seconds / 3, most)
        return [("a hot host that moves: never more than there are places", crowd.peak() <= most),
                ("a hot host that moves: 95% are used", used >= 0.95)]


def stopped(seconds: float, patience: float, most: int = 20) -> list[tuple[str, bool]]:
    """Redis stands still for some seconds while both hosts want more than there is."""
    with Server() as server, Crowd(server, {"concurrent_requests": most}, redis={"patience": patience}) as crowd:
        progress("Redis stopped")

        async def stop() -> Rush:
            running = asyncio.create_task(crowd.rush(seconds + 4, most))
            await asyncio.sleep(2)
            server.stop()
            await asyncio.sleep(seconds)
            server.go_on()
            return await running
        rush = asyncio.run(stop())
        report(f"2 hosts x 2, Redis stopped for {seconds:g} s", crowd, rush.mean(WARM, seconds + 4) / most, 0.0, most)
        return [("Redis stopped: never more than there are places", crowd.peak() <= most),
                ("Redis stopped: nothing fails", {status for _, status in rush.answers} == {"200", "429"})]


def killed(patience: float, most: int = 20) -> list[tuple[str, bool]]:
    """A host that has all places is killed."""
    with Server() as server, Crowd(server, {"concurrent_requests": most}, redis={"patience": patience}) as crowd, \
            contextlib.ExitStack() as streams:
        progress("a host killed")
        for _ in range(most):
            crowd.hosts[0].wait(lambda: begin(crowd, streams, 0) == 200)
        crowd.hosts[0].wait(lambda: crowd.simulator.state(0)["open"] == most)
        refused = ask(crowd.hosts[1].port, chat()).status == 429
        for pid in [crowd.hosts[0].process.pid, *crowd.hosts[0].children()]:
            os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        for _ in range(most):
            crowd.hosts[1].wait(lambda: begin(crowd, streams) == 200)
        back = time.monotonic() - begun
        print(f"\na host killed that had all {most} places: another one has them after {back:.1f} s")
        return [("a host killed: the other one is refused before", refused),
                ("a host killed: its places are back within 10 s", back < 10)]


def restarted(patience: float, most: int = 20) -> list[tuple[str, bool]]:
    """Redis comes back with nothing, while each of two hosts has half of the places, and then one wants all."""
    with Server() as server, Crowd(server, {"concurrent_requests": most}, redis={"patience": patience}) as crowd, \
            contextlib.ExitStack() as streams:
        progress("Redis restarted empty")
        with contextlib.ExitStack() as others:
            for _ in range(most // 2):
                crowd.hosts[1].wait(lambda: begin(crowd, streams) == 200)
                crowd.hosts[0].wait(lambda: begin(crowd, others, 0) == 200)
            crowd.hosts[0].wait(lambda: crowd.simulator.state(0)["open"] == most)
            server.kill()
            server.start()
            begun = time.monotonic()
        for _ in range(most // 2):
            crowd.hosts[1].wait(lambda: begin(crowd, streams) == 200)
        back = time.monotonic() - begun
        full = ask(crowd.hosts[1].port, chat()).status == 429
        print(f"Redis restarted empty: what comes free on one host is had on the other after {back:.1f} s")
        return [("Redis restarted empty: places are had as before within 2 s", back < 2),
                ("Redis restarted empty: never more than there are places", full and crowd.peak() <= most)]


def begin(crowd: Crowd, streams: contextlib.ExitStack, host: int = 1) -> int:
    """The status of one more stream at a host. (Where Redis answers late it has to come again.)"""
    port = crowd.hosts[host].port
    talk = streams.enter_context(Talk(port)).send(chat(stream=True, fault="tokens=9;stall=1"))
    return int(talk.socket.recv(12, socket.MSG_PEEK)[9:])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.faults.places", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load (%(default)s)")
    parser.add_argument("--patience", type=float, default=0.005, help="redis.patience (%(default)s)")
    given = parser.parse_args()
    print("| fleet | places | most at once | used | calls to Redis a second and host |\n|---|---|---|---|---|")
    promises = [promise for fleet in FLEETS for promise in sustained(fleet, given.seconds, given.patience)]
    promises += hot(given.seconds, given.patience) + stopped(given.seconds, given.patience)
    return verdict(promises + killed(given.patience) + restarted(given.patience))


if __name__ == "__main__":
    sys.exit(main())
