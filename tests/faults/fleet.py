"""One limit over several hosts: how much it lets through at the provider, and what Redis costs and does to requests.

`python -m tests.faults.fleet` starts fleets with a Redis of their own, loads them in closed loop at more than their
limit; then all that can happen to Redis happens under load, too. Where Redis answers later than a request waits, which
a busy machine makes it do, a host's share lets some pass and says so: these are counted by themselves, and all others
are none over the limit. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from tests.faults import outages
from tests.faults.load import percentile, progress, verdict
from tests.fleet.rack import Rack, Traffic
from tests.fleet.server import Server

JITTER = 0.05           # seconds: of two admitted requests one may reach the provider so much later


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many hosts, of how many workers, keep how many requests a second."""

    hosts: int
    workers: int
    rate: float
    burst: int
    least: float        # of the rate that must be used
    load: str = "all"   # or one host after the other; or one asked for nearly all, and the others for a little

    @property
    def name(self) -> str:
        """In the table."""
        how = {"all": "", "moving": ", one hot, then the next", "skewed": ", one asked for most"}[self.load]
        return f"{self.hosts} hosts x {self.workers}, {self.rate:g}/s{how}"


FLEETS = (Fleet(3, 2, 1000, 1000, 0.99), Fleet(3, 2, 100, 100, 0.99), Fleet(8, 1, 10, 10, 0.95),
          Fleet(3, 2, 1000, 1000, 0.99, "moving"), Fleet(3, 2, 100, 100, 0.99, "moving"),
          Fleet(8, 1, 10, 10, 0.95, "moving"), Fleet(3, 2, 1000, 1000, 0.99, "skewed"),
          Fleet(3, 2, 100, 100, 0.99, "skewed"), Fleet(8, 1, 10, 10, 0.95, "skewed"))


def sustained(fleet: Fleet, seconds: float, patience: float) -> list[tuple[str, bool]]:
    """The hosts together want more than there is."""
    name = fleet.name
    limit = {"requests_per_second": fleet.rate, "burst_size": fleet.burst}
    with Server() as server, Rack(server, limit, hosts=fleet.hosts, workers=fleet.workers,
                                  redis={"patience": patience}) as rack:
        rack.rest(fleet.burst / fleet.rate)
        progress(name)
        calls = sum(host.metric("edge_redis_calls_total") for host in rack.hosts)
        found = demand(fleet, rack, seconds)
        calls = sum(host.metric("edge_redis_calls_total") for host in rack.hosts) - calls
        asked = [at for at, _ in rack.upstream.asked]
        over, lent = rack.upstream.over(fleet.rate, fleet.burst, granted=True), len(rack.upstream.lent)
        beyond = rack.upstream.over(fleet.rate, fleet.burst)
        used = (len(asked) - fleet.burst) / (fleet.rate * (asked[-1] - asked[0]))
        good = [took for _, status, took in found if status == 200]
    middle, high = percentile(good, 0.5) * 1000, percentile(good, 0.99) * 1000
    print(f"| {name} | {over:.1f} | {lent}, {beyond:.1f} | {used:.1%} | {calls / seconds / fleet.hosts:.1f} | "
          f"{len(found) / seconds:.0f} | {middle:.1f} | {high:.1f} |", flush=True)
    return [(f"{name}: no window has more than burst + rate x t", over <= fleet.rate * JITTER),
            (f"{name}: nor by more than hosts have let pass by themselves", beyond <= max(0, over) + lent),
            (f"{name}: {fleet.least:.0%} of the rate is used", used >= fleet.least)]


def demand(fleet: Fleet, rack: Rack, seconds: float) -> list[tuple[float, int, float]]:
    """What clients ask for so long."""
    if fleet.load == "all":
        return rack.load(seconds)
    if fleet.load == "moving":
        parts = 2 * fleet.hosts
        return [each for turn in range(parts)
                for each in rack.load(seconds / parts, 4, [rack.hosts[turn % fleet.hosts]])]
    with Traffic(rack.hosts[1:], fleet.rate / 20 / fleet.hosts) as traffic:
        found = rack.load(seconds, 4, rack.hosts[:1])
    rack.upstream.lent |= traffic.lent
    return found + traffic.found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.faults.fleet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load (%(default)s)")
    parser.add_argument("--patience", type=float, default=0.005, help="redis.patience (%(default)s)")
    parser.add_argument("--only", choices=["limits", "outages"], help="one of the two tables")
    given = parser.parse_args()
    promises = [] if given.only == "outages" else limits(given.seconds, given.patience)
    if given.only != "limits":
        promises += outages.table(given.patience, min(10.0, given.seconds))
    return verdict(promises)


def limits(seconds: float, patience: float) -> list[tuple[str, bool]]:
    """Prints the table of fleets; the promises, and whether they were kept."""
    print("| fleet | over burst + rate x t | let pass without Redis, over with these | of the rate used | "
          "calls to Redis a second and host | requests a second | "
          "p50 of admitted, ms | p99 |\n|---|---|---|---|---|---|---|")
    return [promise for fleet in FLEETS for promise in sustained(fleet, seconds, patience)]


if __name__ == "__main__":
    sys.exit(main())
