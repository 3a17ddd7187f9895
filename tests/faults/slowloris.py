"""Normal load beside thousands of clients that take their time: what is left of its goodput.

`python -m tests.faults.slowloris` measures without and with them in turn: heads dripped, bodies dripped, answers read
slowly, and 5,000 idle connections. The ratio is that of the medians. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass

import uvloop

from tests.faults.attack import Attack, Plan
from tests.faults.load import Ended, closed, many_files, percentile, progress, table, verdict
from tests.support.gateway import Gateway, configuration
from tests.support.looks import figures
from tests.support.simulator import Simulator
from tests.support.talk import chat

PART = 0.95             # of the normal goodput that must be left
LATENCY = 50            # milliseconds of the provider: normal load leaves the processor room, as normal load does
AT_ONCE = 24            # clients of the normal load
GONE = 60.0             # seconds in which the gateway must have forgotten the slow clients


@dataclass(frozen=True, slots=True)
class Phase:
    """What the normal load saw, and how many connections the gateway held at its end."""

    ended: list[Ended]
    seconds: float
    connections: int

    @property
    def goodput(self) -> float:
        """Good answers per second."""
        return sum(one.status == 200 for one in self.ended) / self.seconds

    @property
    def p99(self) -> float:
        """Seconds."""
        return percentile([one.seconds for one in self.ended if one.status == 200], 0.99)


def start(stack: ExitStack, workers: int = 1) -> Gateway:
    """A gateway before a provider with a latency."""
    many_files()
    simulator = stack.enter_context(Simulator(latency=LATENCY))
    return stack.enter_context(Gateway(configuration(simulator.url, workers=workers)))


def connections(gateway: Gateway) -> int:
    """Clients' connections that the gateway holds."""
    return sum(worker["connections"] for worker in figures(gateway)["workers"])


def measure(gateway: Gateway, seconds: float) -> Phase:
    """One phase of normal load."""
    ended = uvloop.run(closed(gateway.port, chat("normal"), AT_ONCE, seconds))
    return Phase(ended, seconds, connections(gateway))


def phases(gateway: Gateway, plan: Plan, seconds: float, rounds: int) -> tuple[list[Phase], list[Phase]]:
    """Phases without and with the slow clients, in turn."""
    without, beside = [], []
    measure(gateway, seconds / 2)
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        without.append(measure(gateway, seconds))
        with Attack(gateway.port, plan):
            beside.append(measure(gateway, seconds))
        gateway.wait(lambda: connections(gateway) == 0, GONE)
    return without, beside


def ratio(without: list[Phase], beside: list[Phase]) -> float:
    """Of the median goodputs."""
    return (statistics.median(phase.goodput for phase in beside)
            / statistics.median(phase.goodput for phase in without))


def main() -> int:
    """The measurement in full."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle", type=int, default=5000, help="connections that say nothing")
    parser.add_argument("--slow", type=int, default=300, help="clients that drip their heads, and as many their bodies")
    parser.add_argument("--readers", type=int, default=50, help="clients that read slowly")
    parser.add_argument("--seconds", type=float, default=10, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3, help="of two phases each")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    plan = Plan(given.idle, given.slow, given.slow, given.readers, settle=5)
    with ExitStack() as stack:
        gateway = start(stack, given.workers)
        without, beside = phases(gateway, plan, given.seconds, given.rounds)
    table(["phase", "good answers/s", "not good", "p99 ms", "connections"], [
        [name, f"{phase.goodput:.0f}", str(sum(one.status != 200 for one in phase.ended)), f"{phase.p99 * 1000:.1f}",
         str(phase.connections)]
        for pair in zip(without, beside, strict=True) for name, phase in zip(("without", "with"), pair, strict=True)])
    left = ratio(without, beside)
    return verdict([
        (f"goodput beside {plan.all} slow clients is at least {PART:.0%} of normal: {left:.1%}", left >= PART),
        ("no request of the normal load failed", all(one.status == 200 for phase in beside for one in phase.ended))])


if __name__ == "__main__":
    sys.exit(main())
