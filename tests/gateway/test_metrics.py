"""`/metrics` says what happened: right after known traffic, over all workers, after one has died."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.gateway.client import PATHS, ask, asked, post, receive, request
from tests.gateway.conftest import key_of
from tests.simulator.wire import Wire
from tests.support.gateway import PLAIN, Gateway

WORKERS = 2
Labels = tuple[str, ...]


@dataclass(frozen=True)
class Traffic:
    """A request, how often it is sent, and what it counts as: route, provider, model, status, condition."""

    data: bytes
    times: int
    counts_as: tuple[str, str, str, str, str]
    decision: str | None = field(default=None, kw_only=True)        # of the limits, where they were asked


def chat(provider: str, model: str, status: str = "200", condition: str = "ok") -> tuple[str, str, str, str, str]:
    """What a chat counts as."""
    return "chat", provider, model, status, condition


UNROUTED = ("", "", "")
TRAFFIC = (
    Traffic(post("openai"), 7, chat("sim", "sim-*"), decision="admitted"),
    Traffic(post("openai", stream=True), 3, chat("sim", "sim-*"), decision="admitted"),
    Traffic(post("openai", model="alias"), 2, chat("sim", "alias"), decision="admitted"),
    Traffic(post("anthropic"), 5, ("messages", "sim-a", "sim-*", "200", "ok"), decision="admitted"),
    Traffic(post("anthropic", stream=True, spec="cut=2200"), 2,
            ("messages", "sim-a", "sim-*", "502", "provider_cut"), decision="admitted"),
    Traffic(request({"model": "text-x", "input": "a"}, path="/v1/embeddings"), 4,
            ("embeddings", "sim", "text-*", "200", "ok"), decision="admitted"),
    Traffic(post("openai", spec="status=404"), 3, chat("sim", "sim-*", "404", "model_unknown"),
            decision="admitted"),
    Traffic(post("openai", spec="status=500"), 2, chat("sim", "sim-*", "502", "provider_error"), decision="admitted"),
    Traffic(post("openai", spec="status=429"), 2, chat("sim", "sim-*", "429", "provider_rate_limited"),
            decision="admitted"),
    Traffic(post("openai", model="closed"), 2, chat("closed", "closed*", "502", "provider_unreachable"),
            decision="admitted"),
    Traffic(request(path="/v1/files", method="GET"), 3, ("relay", "sim", "", "200", "ok"), decision="admitted"),
    Traffic(request(path="/v1/models", method="GET"), 2, ("models", "", "", "200", "ok")),
    Traffic(request(path="/livez", method="GET"), 2, ("livez", "", "", "200", "ok")),
    Traffic(request(path="/v1/nowhere", method="GET"), 3, (*UNROUTED, "404", "endpoint_unknown")),
    Traffic(b"GARBAGE\r\n\r\n", 2, (*UNROUTED, "400", "request_malformed")),
    Traffic(post("openai", headers={"authorization": "Bearer sk-unknown-0123456789abcdef"}), 3,
            ("chat", "", "", "401", "key_unknown")),
    Traffic(request(b"{", path=PATHS["anthropic"]), 2, ("messages", "", "", "400", "json_invalid")),
    Traffic(post("openai", model="nobody-has-it"), 2, ("chat", "", "", "404", "model_unknown")),
    # The first is admitted: its bucket holds one.
    Traffic(post("openai", headers={"authorization": f"Bearer {key_of('limited-openai')}"}), 1,
            chat("sim", "sim-*"), decision="admitted"),
    Traffic(post("openai", headers={"authorization": f"Bearer {key_of('limited-openai')}"}), 4,
            chat("sim", "sim-*", "429", "rate_limited"), decision="refused_key"),
)
NAMES = ("route", "provider", "model", "status", "condition")


class Samples:
    """One scrape."""

    def __init__(self, gateway: Gateway) -> None:
        answer = httpx.get(f"{gateway.admin}/metrics", **PLAIN)
        assert answer.status_code == 200
        self.all = [sample for family in parse(answer.text) for sample in family.samples]

    def by(self, name: str, *labels: str) -> dict[Labels, float]:
        """A metric's values by the labels, summed over the others."""
        found: Counter[Labels] = Counter()
        for sample in self.all:
            if sample.name == name:
                found[tuple(sample.labels[label] for label in labels)] += sample.value
        return {key: value for key, value in found.items() if value}

    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Every series that there is."""
        return {(sample.name, frozenset(sample.labels.items())) for sample in self.all}


def send(gateway: Gateway) -> None:
    """All the traffic, a connection for each request, so that both workers have some of it."""
    for each in TRAFFIC:
        for _ in range(each.times):
            ask(gateway.port, each.data)


def expected(*labels: str, only: Callable[[Traffic], bool] = lambda each: True) -> dict[Labels, float]:
    """How often the traffic counts, by the labels."""
    found: Counter[Labels] = Counter()
    for each in filter(only, TRAFFIC):
        said = dict(zip(NAMES, each.counts_as, strict=True))
        found[tuple(said[label] for label in labels)] += each.times
    return dict(found)


def reached(each: Traffic) -> bool:
    """Whether a provider was asked."""
    return bool(each.counts_as[1]) and each.counts_as[4] != "rate_limited"


def answered(each: Traffic) -> bool:
    """Whether a provider answered."""
    return bool(each.counts_as[1]) and each.counts_as[4] not in ("rate_limited", "provider_unreachable")


@pytest.fixture(scope="module")
def busy(start: Callable[..., Gateway]) -> Iterator[Gateway]:
    """Two workers that have had the traffic once, and nothing else."""
    with start(workers=WORKERS) as gateway:
        send(gateway)
        yield gateway


@pytest.fixture(scope="module")
def scraped(busy: Gateway) -> Samples:
    """What they say right after."""
    busy.wait(lambda: not Samples(busy).by("edge_requests_in_flight", "route"))
    return Samples(busy)


def test_requests(scraped: Samples) -> None:
    """Every request is counted once, by route, provider, model, status and condition."""
    assert scraped.by("edge_requests_total", *NAMES) == expected(*NAMES)


def test_histograms(scraped: Samples) -> None:
    """Every request that a provider was asked has its time, and those that it answered have two others."""
    series = NAMES[:3]
    assert scraped.by("edge_request_duration_seconds_count", *series) == expected(*series, only=reached)
    for name in ("edge_time_to_first_byte_seconds", "edge_overhead_seconds"):
        assert scraped.by(f"{name}_count", *series) == expected(*series, only=answered)
        assert scraped.by(f"{name}_bucket", "le")["+Inf",] == sum(expected(only=answered).values())
    total, = scraped.by("edge_request_duration_seconds_sum").values()
    assert 0 < total < 60


def test_limits_and_connections(scraped: Samples) -> None:
    """The limits' decisions are counted, and connections by side."""
    decisions = Counter({(each.decision,): 0 for each in TRAFFIC if each.decision})
    for each in TRAFFIC:
        if each.decision:
            decisions[each.decision,] += each.times
    assert scraped.by("edge_limiter_decisions_total", "decision") == dict(decisions)
    assert scraped.by("edge_connections_accepted_total") == {(): sum(each.times for each in TRAFFIC)}
    opened, = scraped.by("edge_upstream_connections_opened_total").values()
    reused, = scraped.by("edge_upstream_connections_reused_total").values()
    # Each request to a provider that can be reached went out on a connection; some had theirs opened for them.
    asked_for = sum(each.times for each in TRAFFIC if answered(each))
    assert opened + reused >= asked_for and opened <= 2 * WORKERS + 2
    assert "downstream" not in dict.fromkeys(name for name, in scraped.by("edge_connections", "side"))


def test_tokens(scraped: Samples) -> None:
    """Tokens are counted by model and kind: the simulator makes 16 for each plain chat."""
    tokens = scraped.by("edge_tokens_total", "route", "provider", "model", "type")
    assert tokens["chat", "sim", "sim-*", "output"] == 16 * 8       # streams were not asked for their usage
    assert tokens["chat", "sim", "alias", "output"] == 16 * 2
    assert tokens["embeddings", "sim", "text-*", "input"] == 4
    assert tokens["messages", "sim-a", "sim-*", "output"] >= 16 * 5


def test_in_flight(start: Callable[..., Gateway]) -> None:
    """Requests on their way are in flight, and no longer when they end, whichever way that is."""
    with start() as gateway, Wire(gateway.port) as first, Wire(gateway.port) as second:
        first.send(post("openai", spec="hang"))
        receive(second.send(post("anthropic", stream=True, spec="stall=4")), b"data: ")
        gateway.wait(lambda: Samples(gateway).by("edge_requests_in_flight", *NAMES[:3]) == {
            ("chat", "sim", "sim-*"): 1, ("messages", "sim-a", "sim-*"): 1})
        for wire in (first, second):
            wire.socket.close()
        gateway.wait(lambda: not Samples(gateway).by("edge_requests_in_flight", "route"))
        assert Samples(gateway).by("edge_requests_total", "route", "status", "condition") == {
            ("chat", "none", "client_closed"): 1, ("messages", "none", "client_closed"): 1}


def test_a_worker_that_is_killed(start: Callable[..., Gateway]) -> None:
    """A killed worker's counts stay, what it had in flight goes, and its successor counts on."""
    with start(workers=WORKERS) as gateway:
        send(gateway)
        # One of them holds this request; both are killed, one after the other, so that it does not matter which.
        with Wire(gateway.port) as wire:
            receive(wire.send(post("openai", stream=True, spec="stall=4")), b"data: ")
            for number, worker in enumerate(gateway.children()[1:3]):
                os.kill(worker, signal.SIGKILL)
                gateway.wait(lambda number=number: Samples(gateway).by(
                    "edge_worker_restarts_total", "worker").get((str(number),)) == 1)
        gateway.wait(lambda: not Samples(gateway).by("edge_requests_in_flight", "route"))
        assert Samples(gateway).by("edge_requests_total", *NAMES) == expected(*NAMES)
        again = [each for each in TRAFFIC if b"limited" not in each.data]
        for each in again:
            ask(gateway.port, each.data)
        both = Counter(expected(*NAMES)) + Counter(each.counts_as for each in again)
        gateway.wait(lambda: Samples(gateway).by("edge_requests_total", *NAMES) == dict(both))


def inputs(number: int) -> list[bytes]:
    """Requests in which everything that a client chooses is new."""
    return [
        post("openai", model=f"sim-{number}", headers={"x-request-id": f"id-{number}"}),
        post("anthropic", model=f"unknown-{number}"),
        request(path=f"/v1/{number}", method="GET"),
        request(path=f"/v1/files/{number}", method="GET"),
        request(asked("openai", user=f"user-{number}"), path=f"{PATHS['openai']}?x={number}"),
        post("openai", headers={"authorization": f"Bearer sk-{number}-0123456789abcdef"}),
        request(path=PATHS["openai"], method=f"METHOD{number}"),
        post("openai", spec=f'status={400 + number % 20};body={{"error":{{"message":"{number}"}}}}'),
    ]


def test_labels_are_never_from_input(start: Callable[..., Gateway]) -> None:
    """Nothing that a client sends becomes a label: series do not grow with what was asked."""
    with start() as gateway:
        known: set[Any] = set()
        for number in range(50):
            for data in inputs(number):
                ask(gateway.port, data)
            if number == 19:        # by now every status has been seen
                known = Samples(gateway).series()
        assert Samples(gateway).series() == known
        assert len(known) < 2000
        text = httpx.get(f"{gateway.admin}/metrics", **PLAIN).text
        assert not [word for word in ("unknown-", "sim-1", "METHOD", "user-", "id-1") if word in text]
