"""`/metrics` says what the workers counted, in formats that Prometheus reads."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from edge import __version__
from edge._fast import LONG_BOUNDS, RELAYED, RELAYED_STATUSES, SHORT_BOUNDS, Condition, Healths, Slab, monotonic
from edge.contract.conditions import BLAMES
from edge.control.metrics import SlabCollector, expose
from edge.control.state import State
from edge.control.worker_metrics import BY_WORKER, SUMS
from edge.dialects.routes import ROUTES
from edge.values.figures import workers
from edge.values.registry import OTHER, Registry
from edge.values.snapshot import Snapshot
from tests.control.running import make_snapshot
from tests.gateway.answers import MEANINGS

FORK = multiprocessing.get_context("fork")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
# What one request did: series, outcome, times (total, first byte, overhead), tokens; None: it never ended.
Event = tuple[int, int | None, tuple[int, int, int], tuple[int, int, int]]


def state_of(snapshot: Snapshot, workers: int = 2) -> State:
    """Fresh memory for a snapshot."""
    registry = Registry()
    registry.plan(snapshot)
    return State.of(Slab(workers), registry, snapshot)


def scrape(state: State, accept: str = "") -> Samples:
    """All samples by name and labels, read back by prometheus_client's parser; none comes twice."""
    body, content_type = expose(SlabCollector(lambda: state), accept)
    parse: Any = parse_openmetrics if content_type.startswith("application/openmetrics-text") else parse_text
    samples: Samples = {}
    for family in parse(body.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """One sample's value."""
    return samples.get((name, frozenset(labels.items())))


def work(worker: int, slab: Slab, events: Iterable[Event], done: Connection) -> None:
    """A worker that does all this, and then waits to be killed."""
    slab.beat(worker, {"connections": 2, "accepted": 2, "admitted": 1})
    for series, outcome, times, tokens in events:
        slab.enter(worker, series)
        if outcome is not None:
            slab.account(worker, series, outcome, times, tokens)
            slab.enter(worker, series, -1)
    done.send(True)
    signal.pause()


def blame(condition: str) -> str:
    """Whose fault a condition is; `none` where nothing is wrong, or nobody is left to be told."""
    return MEANINGS[condition].blame if condition in MEANINGS else "none"


def expected_counts(state: State, events: list[Event]) -> Counter[tuple[Any, ...]]:
    """The slow way to every counter that the events move."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for series, outcome, times, tokens in events:
        if outcome is None:
            continue
        labels = dict(zip(("route", "provider", "model"), list(state.registry.labels)[series], strict=True))
        if outcome == 0:
            said = {"status": "200", "condition": "ok"}
        elif outcome >= RELAYED:
            status = RELAYED_STATUSES[outcome - RELAYED]
            said = {"status": str(status), "condition": "ok" if status < 400 else "provider_rejected"}
        else:
            said = {"condition": Condition(outcome).name}
        said["blame"] = blame(said["condition"])
        counts[("edge_requests_total", frozenset({**labels, **said}.items()))] += 1
        for name, bounds, ns in (("edge_request_duration_seconds", LONG_BOUNDS, times[0]),
                                 ("edge_time_to_first_byte_seconds", LONG_BOUNDS, times[1]),
                                 ("edge_overhead_seconds", SHORT_BOUNDS, times[2])):
            for bound in (*bounds, float("inf")):
                counts[(f"{name}_bucket", frozenset(labels.items()), bound)] += ns <= round(
                    min(bound, 1e6) * 1e9)
            counts[(f"{name}_sum", frozenset(labels.items()))] += ns
        for kind, count in zip(("input", "output", "cached"), tokens, strict=True):
            if count:
                counts[("edge_tokens_total", frozenset({**labels, "type": kind}.items()))] += count
    return counts


def counted(samples: Samples) -> dict[tuple[Any, ...], int]:
    """The same keys from a scrape. A condition's status is the contract's matter, and left out."""
    found: dict[tuple[Any, ...], int] = {}
    for (name, labels), number in samples.items():
        said = dict(labels)
        if name.startswith("edge_worker_loop_lag"):
            continue                            # of no request
        if name.endswith("_bucket"):
            bound = float(said.pop("le"))
            found[(name, frozenset(said.items()), bound)] = int(number)
        elif name.endswith("_sum"):
            found[(name, labels)] = round(number * 1e9)
        elif name in ("edge_requests_total", "edge_tokens_total"):
            own = said.get("condition") in ("ok", None)
            if not own and (said["condition"] != "provider_rejected" or said["status"] == "4xx"):
                del said["status"]
            found[(name, frozenset(said.items()))] = int(number)
    return found


outcomes = st.one_of(st.none(), st.integers(0, len(Condition) - 1),
                     st.integers(RELAYED, RELAYED + len(RELAYED_STATUSES) - 1))
ns = st.integers(0, 900_000_000_000)
tokens = st.integers(0, 100_000)
events = st.lists(st.tuples(st.integers(0, 20), outcomes, st.tuples(ns, ns, ns), st.tuples(tokens, tokens, tokens)),
                  max_size=25)


@settings(max_examples=15, deadline=None)
@given(st.lists(events, min_size=2, max_size=3))
def test_scrape_equals_what_processes_counted(lives: list[list[Event]]) -> None:
    """A scrape is the exact sum of what all workers counted, also after one of them died by kill -9."""
    state = state_of(make_snapshot(), len(lives))
    processes = []
    try:
        for worker, life in enumerate(lives):
            ours, theirs = FORK.Pipe(duplex=False)
            processes.append(FORK.Process(target=work, args=(worker, state.slab, life, theirs), daemon=True))
            processes[-1].start()
            assert ours.recv()
        expected = expected_counts(state, [event for life in lives for event in life])
        assert counted(scrape(state)) == dict(expected)
        os.kill(processes[0].pid or 0, signal.SIGKILL)
        processes[0].join(20)
        state.slab.worker_died(0)
        state.slab.restarted(0)
        samples = scrape(state, OPENMETRICS)
        assert counted(samples) == dict(expected)
        hanging = Counter(series for life in lives[1:] for series, outcome, *_ in life if outcome is None)
        in_flight = {labels: number for (name, labels), number in samples.items()
                     if name == "edge_requests_in_flight" and number}
        names = ("route", "provider", "model")
        assert in_flight == {frozenset(zip(names, list(state.registry.labels)[series], strict=True)): number
                             for series, number in hanging.items()}
        assert value(samples, "edge_connections", side="downstream") == 2 * (len(lives) - 1)
        assert value(samples, "edge_connections_accepted_total") == 2 * len(lives)
        assert value(samples, "edge_worker_restarts_total", worker="0") == 1
    finally:
        for process in processes:
            process.kill()
            process.join(20)


def busy_state(contract: str = "tokenpak") -> State:
    """Something in every family."""
    state = state_of(make_snapshot(contracts=(("openai", contract), ("anthropic", "anthropic"))))
    for series in range(len(state.registry.labels)):
        for outcome in (*range(len(Condition)), *range(RELAYED, RELAYED + len(RELAYED_STATUSES) + 1)):
            state.slab.account(0, series, outcome, (series * 10**7, 10**7, 10**4), (1, 2, 3))
    state.slab.beat(1, {"connections": 1, "upstream_connections": 2, "refused_key": 3, "refused_gateway": 4,
                        "admitted": 5, "upstream_opened": 6, "upstream_reused": 7, "accepted": 8, "retrying": 9,
                        "retries": 10, "fallbacks": 11, "budget_refused": 12, "shed": 13})
    healths = Healths(state.slab)
    for index in state.registry.targets.values():
        for condition in Condition:
            healths.count(index, condition)
        healths.force(index, "closed")
        healths.bench(index, 0, monotonic() + 10**12)
    state.slab.set_bucket(0, 10, 20)
    state.slab.take(0, 3)
    return state


def test_both_formats_say_the_same() -> None:
    """Prometheus text and OpenMetrics carry the same samples, but for the age that moves between two scrapes."""
    state = busy_state()
    text, openmetrics = scrape(state), scrape(state, OPENMETRICS)
    clocks = ("edge_worker_heartbeat_age_seconds", "edge_limit_left", "edge_provider_key_benched_seconds")
    for moving in [key for key in text if key[0] in clocks or key[0].startswith("process_")]:
        del text[moving], openmetrics[moving]
    assert text == openmetrics
    assert len(text) > 1000


def test_counts_of_workers_and_gateway() -> None:
    """Limiter decisions, connections, heartbeats, the limit's rest, version and build are all there."""
    samples = scrape(busy_state())
    for decision, count in (("refused_key", 3), ("refused_gateway", 4), ("admitted", 5)):
        assert value(samples, "edge_limiter_decisions_total", decision=decision) == count
    assert value(samples, "edge_connections", side="downstream") == 1
    assert value(samples, "edge_connections", side="upstream") == 2
    assert value(samples, "edge_upstream_connections_opened_total") == 6
    assert value(samples, "edge_upstream_connections_reused_total") == 7
    assert value(samples, "edge_config_version") == 1
    assert value(samples, "edge_build_info", version=__version__) == 1
    assert 17 <= (value(samples, "edge_limit_left") or 0) <= 20
    assert value(samples, "edge_worker_heartbeat_age_seconds", worker="0") is None
    assert 0 <= (value(samples, "edge_worker_heartbeat_age_seconds", worker="1") or 0) < 20


def test_every_count_of_a_worker_is_told() -> None:
    """Whatever a worker counts has its place in the metrics, but for its requests, which the series tell."""
    told = [count for row in (*SUMS, *BY_WORKER) for _, count in row.pairs()]
    assert sorted(told) == sorted(set(workers(Slab(1))[0]) - {"worker", "in_flight"})


def test_status_is_what_the_routes_contract_says() -> None:
    """The status of a condition follows the contract of the surface that the request came in by."""
    samples = scrape(busy_state("tokenpak"))
    chat = {"route": "chat", "provider": "first", "model": "gpt-5"}
    messages = {"route": "messages", "provider": "second", "model": "claude-*"}
    for labels, condition, status in (
            (chat, "rate_limited", "429"), (chat, "provider_overloaded", "502"), (messages, "key_unknown", "401"),
            (messages, "provider_overloaded", "529"), (chat, "provider_rejected", "4xx"),
            (chat, "client_closed", "none")):
        said = {"condition": condition, "status": status, "blame": blame(condition)}
        assert value(samples, "edge_requests_total", **labels, **said) == 1
    for status, condition in (("404", "provider_rejected"), ("201", "ok"), ("other", "provider_rejected")):
        said = {"condition": condition, "status": status, "blame": blame(condition)}
        assert value(samples, "edge_requests_total", **chat, **said) == 1
    for route in ("relay", "models"):
        relayed = {"route": route, "provider": "second", "model": ""}
        said = {"condition": "provider_overloaded", "status": "529", "blame": "upstream"}
        assert value(samples, "edge_requests_total", **relayed, **said) == 1


def test_label_values_are_bounded() -> None:
    """Every label value is one of an enumeration or of the configuration, so that no client can make new ones."""
    state = busy_state()
    series = {text for labels in state.registry.labels for text in labels}
    assert series == {"", *OTHER, "first", "second", "gpt-5", "claude-*", "relay", "models", "health", "livez",
                      "readyz", "stats", *(route.name for route in ROUTES)}
    for name, labels in scrape(state):
        for label, text in labels:
            if label in ("route", "provider", "model"):
                assert text in series, name
            elif label == "condition":
                assert text in Condition.__members__
            elif label == "target":
                assert text in ("first", "second", "first/gpt-5", "second/claude-*"), name
            elif label == "status":
                assert text in ("other", "4xx", "none") or text.isdigit()
            elif label == "blame":
                assert text in ("none", *BLAMES)
            else:
                assert label in ("le", "type", "decision", "side", "worker", "version", "kind", "state", "key",
                                     "outcome", "process")


def test_unused_series_are_left_out() -> None:
    """Without a request a series has no samples and a target its circuit's state alone: a scrape grows with use."""
    named = [name for name, labels in scrape(state_of(make_snapshot())) if {"route", "target"} & dict(labels).keys()]
    assert set(named) == {"edge_circuit_state"}


def test_histograms_are_cumulative() -> None:
    """Buckets never fall with their bound, and the last one is the count."""
    samples = scrape(busy_state())
    by_series: dict[tuple[str, frozenset[tuple[str, str]]], list[tuple[float, float]]] = {}
    for (name, labels), number in samples.items():
        said = dict(labels)
        if name.endswith("_bucket"):
            bound = float(said.pop("le"))
            by_series.setdefault((name.removesuffix("_bucket"), frozenset(said.items())), []).append((bound, number))
    assert by_series
    for (name, labels), buckets in by_series.items():
        buckets.sort()
        assert len(buckets) == len(LONG_BOUNDS) + 1 and buckets[-1][0] == float("inf")
        assert all(low <= high for (_, low), (_, high) in pairwise(buckets))
        assert buckets[-1][1] == samples[(f"{name}_count", labels)]


@pytest.mark.parametrize("accept", [
    "text/plain; version=abc", "application/openmetrics-text; version=", "application/openmetrics-text; version=x.y",
    "*/*", ",;=,", "text/plain;version=1.0.0;escaping=nonsense"])
def test_any_accept_gets_metrics(accept: str) -> None:
    """An Accept field that asks for nonsense gets a format that exists."""
    assert scrape(state_of(make_snapshot()), accept)


def test_promtool_finds_nothing_to_correct() -> None:
    """Prometheus' own checker accepts names, types and units, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    body, _ = expose(SlabCollector(busy_state), "")
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
