"""What an operator sees of a fleet: `edge fleet`, the admin port and the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from edge._fast import monotonic
from edge.control.fleet import allotment
from edge.control.fleet.concurrency import Counted
from edge.control.fleet.limits import Shared
from edge.control.fleet.process import Fleet


def report(fleet: Fleet) -> dict[str, Any]:
    """All of it. Times in seconds, `offset` is of this host's clock from Redis's."""
    talk, since = fleet.talk, (monotonic() - fleet.talk.heard) / 1e9
    return {
        "redis": {"nodes": [f"{host}:{port}" for host, port in fleet.redis.nodes], "kind": fleet.redis.kind,
                  "prefix": fleet.redis.prefix, "state": talk.state, "since": talk.since, "reason": talk.reason,
                  "slow": fleet.purses.fleet.slow, "lag": talk.lag, "offset": talk.offset, "calls": talk.calls,
                  "failures": talk.failures,
                  "faults": [{"key": key, "reason": text} for key, text in sorted(talk.faults.items())]},
        "host": fleet.host,
        "hosts": [{"host": host.name, "age": host.age + since, **host.note} for host in talk.hosts],
        "circuits": [{"target": name, "generation": each.generation, "state": each.state, "probing": each.probing}
                     for name, each in fleet.circuits.known.items() if each.generation],
        "limits": [limit(fleet, each) for _, each in sorted(fleet.limits.active.items())],
        "concurrency": [counted(fleet, each) for _, each in sorted(fleet.concurrency.active.items())]}


def limit(fleet: Fleet, shared: Shared) -> dict[str, Any]:
    """A limit in use: what this host holds, what the fleet has as far as it knows, and what is wrong."""
    held, now = fleet.purses.held(shared.index), monotonic()
    return {
        "limit": shared.name, "held": held.units if now < held.expires else min(held.units, 0),
        "reserved": held.reserved + held.lent, "left": fleet.purses.left(shared.index), "burst": shared.burst,
        "rate": 1e9 / shared.interval, "demand": shared.demand.rate * 4, "hosts": shared.hosts,
        "degraded": fleet.talk.state != "answers" or bool(shared.fault), "foreign": shared.foreign,
        "fault": shared.fault}


def counted(fleet: Fleet, each: Counted) -> dict[str, Any]:
    """A limit of concurrent requests in use: what this host uses, and may use, and what the fleet has beyond that."""
    places, now = fleet.concurrency.places, monotonic()
    return {
        "limit": each.name, "most": each.most, "used": places.used(each.index),
        "held": allotment.worth(places.held(each.index), now), "left": places.left(each.index),
        "need": each.demand.need, "claims": each.claims, "foreign": each.foreign, "fault": each.fault,
        "degraded": fleet.talk.state != "answers" or bool(each.fault)}


def metrics(fleet: Fleet) -> Iterator[Metric]:
    """For Prometheus."""
    talk = fleet.talk
    state = Gauge("edge_redis_state", "1 for what Redis is: answers, slow or away.", labels=["state"])
    now = "away" if talk.state != "answers" else "slow" if fleet.purses.fleet.slow else "answers"
    for name in ("answers", "slow", "away"):
        state.add_metric([name], name == now)
    yield state
    yield Counter("edge_redis_calls", "Calls that Redis has answered.", talk.calls)
    yield Counter("edge_redis_failures", "Calls that it has not.", talk.failures)
    yield Gauge("edge_redis_lag_seconds", "From the last call to its answer.", talk.lag)
    yield Gauge("edge_redis_clock_offset_seconds", "This host's clock beside Redis's.", talk.offset)
    yield Gauge("edge_fleet_hosts", "Hosts that share limits, this one included.", len(talk.hosts))
    limits = Gauge("edge_fleet_limits", "Shared limits that this host uses: all, those that another host's "
                   "configuration rules, and those that cannot be shared.", labels=["state"])
    found: list[Shared | Counted] = [*fleet.limits.active.values(), *fleet.concurrency.active.values()]
    limits.add_metric(["used"], len(found))
    limits.add_metric(["foreign"], sum(each.foreign for each in found))
    limits.add_metric(["faulty"], sum(bool(each.fault) for each in found))
    yield limits
    places = Gauge("edge_fleet_places", "Of shared limits of concurrent requests: what this host may fill, and what is "
                   "used of it.", labels=["state"])
    places.add_metric(["held"], sum(fleet.concurrency.places.held(index).places for index in fleet.concurrency.active))
    places.add_metric(["used"], sum(fleet.concurrency.places.used(index) for index in fleet.concurrency.active))
    yield places
