"""What each fault of Redis does to requests, to the limit and to recovery: the table of docs/fleet.md, measured."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2 as httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.load import percentile, progress
from tests.fleet.faults import FAULTS, Fault, Stage
from tests.fleet.rack import Rack, Traffic, statuses
from tests.support.gateway import PLAIN, Gateway

PLENTY = {"requests_per_second": 100000, "burst_size": 100000}
RATE, BURST = 200, 200
SCARCE = {"requests_per_second": RATE, "burst_size": BURST}
WANTED = 150                # a second, of each of three hosts, of that limit
PACE = 100                  # a second, of each of four clients, where there is plenty
STALL = 10.0                # ms of the event loop, unless it is late without a fault, too
QUIET = 2.0                 # seconds before and behind it, which it is compared with
LONG = ("stopped", "half-open")         # these last longer than the others

Found = list[tuple[float, int, float]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one fault. Times in ms, `back` in seconds; `over` is requests beyond rate x t; `lags` are bounds of
    how late the worker's event loop was, before the fault and meanwhile."""

    added: float
    stall: float
    lags: tuple[float, float]
    back: float
    over: float
    others: list[int]       # statuses that are neither 200 nor 429


def measured(patience: float, seconds: float) -> Iterator[tuple[Fault, Figures]]:
    """Each of the faults, on fleets with a Redis of their own."""
    redis = {"patience": patience}
    sys.setswitchinterval(0.0002)       # who measures must not wait for the provider's thread
    with Stage() as plenty, Rack(plenty, PLENTY, hosts=1, redis=redis) as fast, \
            Stage() as scarce, Rack(scarce, SCARCE, hosts=3, redis=redis) as full:
        fast.rest(1)
        full.rest(BURST / RATE)
        for fault in FAULTS:
            progress(fault.name)
            lasts = seconds if fault.name in LONG else min(3.0, seconds)
            added, stall, lags, back, found = _unlimited(fast, plenty, fault, lasts)
            over, more = _limited(full, scarce, fault, lasts)
            others = sorted({*statuses(found), *statuses(more)} - {200, 429})
            yield fault, Figures(added, stall, lags, back, over, others)


def _unlimited(rack: Rack, stage: Stage, fault: Fault, lasts: float) -> tuple[
        float, float, tuple[float, float], float, Found]:
    """Where there is plenty: what the fault adds at the 99th percentile and at most, how late the event loop was, and
    the time to recover."""
    host = rack.hosts[0]
    with Traffic(rack.hosts * 4, PACE) as traffic:
        looks = [_ticks(host)]
        time.sleep(QUIET)
        quiet = list(traffic.found)
        looks.append(_ticks(host))
        with fault.run(stage):
            time.sleep(lasts)
            meanwhile = traffic.found[len(quiet):]
            looks.append(_ticks(host))
        begun = time.monotonic()
        host.wait(lambda: host.metric("edge_redis_state", state="answers") == 1, 20)
        back = time.monotonic() - begun
        seen = len(traffic.found)
        host.wait(lambda: 200 in statuses(traffic.found[seen:]), 20)
        seen = len(traffic.found)
        time.sleep(QUIET)
        quiet += traffic.found[seen:]
    ours, theirs = ([took * 1000 for _, _, took in each] for each in (meanwhile, quiet))
    return (percentile(ours, 0.99) - percentile(theirs, 0.99), max(ours) - max(theirs),
            (_latest(*looks[:2]), _latest(*looks[1:])), back, traffic.found)


def _ticks(host: Gateway) -> dict[float, float]:
    """How many ticks of the worker's event loop there were, by the bound (ms) that none of them was later than."""
    text = httpx.get(f"{host.admin}/metrics", **PLAIN).text
    return {float(sample.labels["le"]) * 1000: sample.value for family in text_string_to_metric_families(text)
            for sample in family.samples if sample.name == "edge_worker_loop_lag_seconds_bucket"}


def _latest(before: dict[float, float], after: dict[float, float]) -> float:
    """The bound of all ticks between two looks."""
    counts = {bound: after[bound] - before[bound] for bound in after}
    return min(bound for bound, count in counts.items() if count == max(counts.values()))


def _limited(rack: Rack, stage: Stage, fault: Fault, lasts: float) -> tuple[float, Found]:
    """Where the limit is used up: what three hosts let through beyond it, from then on until it is shared again."""
    with Traffic(rack.hosts, WANTED) as traffic:
        rack.hosts[0].wait(lambda: statuses(traffic.found[-60:])[429] > 20, 20)
        begun, before = time.monotonic(), len(rack.upstream.asked)
        with fault.run(stage):
            time.sleep(lasts)
        for host in rack.hosts:
            host.wait(lambda host=host: host.metric("edge_redis_state", state="answers") == 1, 20)
        time.sleep(1.5)
        over = len(rack.upstream.asked) - before - RATE * (time.monotonic() - begun)
    return over, traffic.found


def table(patience: float, seconds: float) -> list[tuple[str, bool]]:
    """Prints it; the promises, and whether they were kept."""
    print("\n| Redis | added p99, ms | longest request, more than before, ms | event loop late by at most, before and "
          "meanwhile, ms | recovery, s | over rate x t, of a burst "
          f"of {BURST} | statuses but 200 and 429 |\n|---|---|---|---|---|---|---|")
    promises = []
    for fault, each in measured(patience, seconds):
        print(f"| {fault.name} | {each.added:+.2f} | {each.stall:+.1f} | {each.lags[0]:g}, {each.lags[1]:g} | "
              f"{each.back:.2f} | {each.over:+.0f} | "
              f"{', '.join(map(str, each.others)) or 'none'} |", flush=True)
        promises += [(f"{fault.name}: added p99 < 1 ms", each.added < 1),
                     (f"{fault.name}: the event loop never stalls > 10 ms",
                      each.lags[1] <= max(STALL, each.lags[0])),
                     (f"{fault.name}: recovery < 2 s", each.back < 2),
                     (f"{fault.name}: no second burst", each.over <= BURST / 2),
                     (f"{fault.name}: nothing fails", not each.others)]
    return promises
