"""More requests than the provider can work on: what gets through, and how long that takes.

`python -m tests.faults.overload` offers one to four times the provider's capacity, in open loop, the loads in turn.
The provider works on so many answers at once and lets the others wait, so that whoever sends it too many makes all of
them slow. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import uvloop

from tests.faults.load import Ended, many_files, opened, paced, percentile, poisson, progress, table, verdict
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest
from tests.support.simulator import Simulator
from tests.support.talk import chat

LEFT = 0.85             # of the best goodput that the highest load must leave
SLOWER = 2.0            # times the lowest load's p99 that the highest one's may be
SHED = (429, 503)       # how a gateway says that it has too much to do


@dataclass(frozen=True, slots=True)
class Offer:
    """How much is offered: loads as multiples of the capacity (requests per second), each for so many seconds.

    The first `warm` of them do not count: a limit that adapts needs to see the load first.
    """

    capacity: float
    loads: Sequence[float]
    seconds: float
    warm: float
    even: bool = False          # arrivals at even gaps, not by chance


@dataclass(frozen=True, slots=True)
class Run:
    """One load: rates per second, and times of good answers in seconds."""

    offered: float
    good: float
    shed: float
    failed: int
    p50: float
    p99: float


def run(gateway: Gateway, offer: Offer, load: float, seed: int) -> Run:
    """Offers one load and waits until all of it is over."""
    rate = load * offer.capacity
    gaps = paced(rate) if offer.even else poisson(rate, seed)
    ended = uvloop.run(opened(gateway.port, chat("busy"), gaps, offer.seconds))
    at_rest(gateway)
    return weigh(ended, offer)


def weigh(ended: list[Ended], offer: Offer) -> Run:
    """Goodput is what ended well within the time, whenever it was asked; the times are of what was asked in it."""
    begin, seconds = ended[0].due + offer.warm, offer.seconds - offer.warm
    asked = [one for one in ended if one.due >= begin]
    good = [one for one in ended if one.status == 200 and begin <= one.due + one.seconds < begin + seconds]
    times = [one.seconds for one in asked if one.status == 200]
    shed = sum(one.status in SHED for one in asked)
    failed = sum(one.status != 200 and one.status not in SHED for one in asked)
    return Run(len(asked) / seconds, len(good) / seconds, shed / seconds, failed,
               percentile(times, 0.5), percentile(times, 0.99))


def measure(gateway: Gateway, offer: Offer, rounds: int) -> dict[float, list[Run]]:
    """Every load once a round."""
    runs: dict[float, list[Run]] = {load: [] for load in offer.loads}
    for number in range(rounds):
        for load in offer.loads:
            progress(f"round {number + 1} of {rounds}: {load:g} times the capacity")
            runs[load].append(run(gateway, offer, load, number))
    return runs


def middle(runs: list[Run], name: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(one, name) for one in runs)


def judge(runs: dict[float, list[Run]]) -> int:
    """Prints the table and what was promised."""
    table(["load", "offered/s", "good/s", "shed/s", "failed", "admitted p50 ms", "p99 ms"], [
        [f"{load:g} x", *(f"{middle(taken, name):.0f}" for name in ("offered", "good", "shed", "failed")),
         *(f"{middle(taken, name) * 1000:.0f}" for name in ("p50", "p99"))] for load, taken in runs.items()])
    low, high = runs[min(runs)], runs[max(runs)]
    left = middle(high, "good") / max(middle(taken, "good") for taken in runs.values())
    slower = middle(high, "p99") / middle(low, "p99")
    return verdict([
        (f"goodput at {max(runs):g} x is at least {LEFT:.0%} of the best: {left:.0%}", left >= LEFT),
        (f"p99 of what is admitted at {max(runs):g} x is at most {SLOWER:g} x that at {min(runs):g} x: {slower:.1f} x",
         slower <= SLOWER)])


def main() -> int:
    """The measurement in full."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--capacity", type=int, default=20, help="answers that the provider works on at once")
    parser.add_argument("--latency", type=int, default=100, help="milliseconds that it needs for one")
    parser.add_argument("--loads", default="1,2,3,4", help="multiples of the capacity")
    parser.add_argument("--seconds", type=float, default=12, help="of each load, the first quarter to warm up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--even", action="store_true", help="arrivals at even gaps, not by chance")
    given = parser.parse_args()
    offer = Offer(given.capacity * 1000 / given.latency, [float(load) for load in given.loads.split(",")],
                  given.seconds, given.seconds / 4, given.even)
    many_files()
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(capacity=given.capacity, latency=given.latency))
        gateway = stack.enter_context(Gateway(configuration(simulator.url, workers=given.workers)))
        runs = measure(gateway, offer, given.rounds)
    return judge(runs)


if __name__ == "__main__":
    sys.exit(main())
