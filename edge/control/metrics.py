"""`/metrics`: the shared memory as Prometheus and OpenMetrics text.

Right with any number of workers, dead ones included, since nobody but the memory itself counts. Every label
value comes from an enumeration or from the configuration; a series appears with its first request. After a
reload that changes contracts the `status` of a condition's earlier requests is the new contract's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import InfoMetricFamily as Info
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from edge import __version__, contract
from edge._fast import LONG_BOUNDS, RELAYED, RELAYED_STATUSES, Cache, Condition, SeriesTotal
from edge.control import cache
from edge.control.health_metrics import certificates, of_providers, of_targets
from edge.control.known import Known
from edge.control.points.clerk import Clerk
from edge.control.process_metrics import of_processes
from edge.control.state import State
from edge.control.traces import Traces
from edge.control.worker_metrics import SHORT, of_workers
from edge.values.directory import CONCURRENT
from edge.values.figures import concurrency, limit
from edge.values.registry import Labels, bucket_name, owners
from edge.values.switches import maintenance

SERIES = ("route", "provider", "model")
LONG = (*map(floatToGoString, LONG_BOUNDS), "+Inf")
Totals = list[tuple[Labels, SeriesTotal]]


class SlabCollector(Collector):
    """Collects for prometheus_client; `state` is asked for at every scrape, and so is what is `known` besides."""

    def __init__(self, state: Callable[[], State], known: Known | None = None) -> None:
        self._state = state
        self._known = known or Known()

    def collect(self) -> Iterator[Metric]:
        """All families."""
        state = self._state()
        totals = [(labels, total) for labels, index in state.registry.labels.items()
                  if any((total := state.slab.series_total(index)).outcomes) or total.in_flight]
        yield requests(state, totals)
        yield from histograms(totals)
        yield from gauges_and_tokens(totals)
        yield from of_workers(state)
        yield from of_targets(state)
        yield from of_providers(state)
        yield certificates(self._known.expiries())
        yield from of_gateway(state)
        yield from self._known.reloads.metrics(state.snapshot)
        yield from of_processes(self._known.supervisor)
        if self._known.requests is not None:
            yield lost_lines(self._known.requests.lost)
            yield from of_traces(self._known.requests.traces)
        if self._known.clerk is not None:
            yield from of_journals(self._known.clerk)
        if isinstance(self._known.cache, Cache):
            yield from cache.metrics(self._known.cache)
        fleet = self._known.fleet()
        if fleet is not None:
            from edge.control.fleet.report import metrics

            yield from metrics(fleet)


def requests(state: State, totals: Totals) -> Metric:
    """Ended requests. A provider's own 4xx that was relayed is a `provider_rejected`, as its answer says.

    `blame` is whose fault the condition is, `none` where nothing went wrong or the client has left.
    """
    blames = contract.blames()
    family = Counter("edge_requests", "Requests that ended, by what the client was answered.",
                     labels=(*SERIES, "status", "condition", "blame"))
    for (route, provider, model), total in totals:
        for slot, count in enumerate(total.outcomes):
            if count:
                status, condition = said(state, route, provider, slot)
                blame = blames.get(condition, "none")
                family.add_metric((route, provider, model, status, condition, blame), count)
    return family


def said(state: State, route: str, provider: str, slot: int) -> tuple[str, str]:
    """Status and condition of a slot of SeriesTotal.outcomes."""
    if slot >= RELAYED:
        if slot - RELAYED >= len(RELAYED_STATUSES):
            return "other", Condition.provider_rejected.name
        status = RELAYED_STATUSES[slot - RELAYED]
        return str(status), (Condition.ok if status < 400 else Condition.provider_rejected).name
    if slot == Condition.ok:
        return "200", "ok"
    if slot == Condition.client_closed:
        return "none", "client_closed"
    # A contract that passes a rejected request's status on has no one status for it: it is one of the 4xx.
    return str(state.status(route, provider, slot) or "4xx"), Condition(slot).name


def histograms(totals: Totals) -> Iterator[Metric]:
    """Times of ended requests: those that a provider was asked and did not answer are in the first one only."""
    for name, bounds, part, text in (
            ("request_duration", LONG, "total", "From the client's first byte to the last one sent to it, where a "
             "provider was asked."),
            ("time_to_first_byte", LONG, "first_byte", "From the client's first byte to the provider's."),
            ("overhead", SHORT, "overhead", "The gateway's own share of the time.")):
        family = Histogram(f"edge_{name}_seconds", text, labels=SERIES)
        for labels, total in totals:
            histogram = getattr(total, part)
            counts = list(accumulate(histogram.counts))
            if counts[-1]:
                family.add_metric(labels, list(zip(bounds, counts, strict=True)), histogram.sum_ns / 1e9)
        yield family


def gauges_and_tokens(totals: Totals) -> Iterator[Metric]:
    """Requests in flight, and tokens as providers reported them."""
    in_flight = Gauge("edge_requests_in_flight", "Admitted requests that have not ended.", labels=SERIES)
    tokens = Counter("edge_tokens", "Tokens that providers reported; cached ones are among the input.",
                     labels=(*SERIES, "type"))
    for labels, total in totals:
        in_flight.add_metric(labels, total.in_flight)
        for kind, count in (("input", total.input_tokens), ("output", total.output_tokens),
                            ("cached", total.cached_tokens)):
            if count:
                tokens.add_metric((*labels, kind), count)
    estimated = Counter("edge_tokens_estimated", "Tokens that no provider reported, as its answer told none or broke "
                        "off, at four bytes each.", labels=(*SERIES, "type"))
    without = Counter("edge_answers_without_usage", "Answers whose provider reported no tokens.", labels=SERIES)
    for labels, total in totals:
        if total.without_usage:
            without.add_metric(labels, total.without_usage)
        if total.estimated_input or total.estimated_output:
            estimated.add_metric((*labels, "input"), total.estimated_input)
            estimated.add_metric((*labels, "output"), total.estimated_output)
    yield from (in_flight, tokens, estimated, without)


def of_gateway(state: State) -> Iterator[Metric]:
    """The gateway's limits and the models', version and build. (Keys are too many for labels.)"""
    bucket = limit(state.slab, state.registry.bucket("gateway"), state.snapshot)
    if bucket is not None:
        yield Gauge("edge_limit_left", "Requests that the gateway's limit would admit now.", bucket["left"])
    left = Gauge("edge_concurrent_requests_left", "Requests that there may be at once besides those that there are.",
                 labels=["owner"])
    for owner, limited in owners(state.snapshot):
        if limited.concurrent_requests:
            index = state.registry.bucket(bucket_name(CONCURRENT, owner))
            left.add_metric([owner], concurrency(state.slab, index, state.snapshot)["left"])
    yield left
    yield Gauge("edge_maintenance", "1 while an operator keeps the gateway in maintenance.",
                int(maintenance(state.slab) is not None))
    yield Gauge("edge_config_version", "Version of the configuration in force.", state.snapshot.version)
    yield Info("edge_build", "The program that runs.", {"version": __version__})


def of_journals(clerk: Clerk) -> Iterator[Metric]:
    """Of what requests have cost, on its way to the store."""
    yield Counter("edge_journal_entries", "Entries of journals that the store has.", clerk.posted)
    yield Counter("edge_journal_entries_torn", "Entries that a power cut has torn: what they cost nobody knows.",
                  clerk.torn)
    yield Gauge("edge_journal_entries_waiting", "Entries of journals that the store does not have.", clerk.waiting)
    yield Gauge("edge_journal_lag_seconds", "Since the oldest of them was written.", clerk.lag)


def lost_lines(counts: dict[str, int]) -> Metric:
    """Of the access log."""
    family = Counter("edge_access_log_lines_lost", "Lines that are not in the access log: its writer was behind, or "
                     "its file did not take them.", labels=["reason"])
    for reason, count in counts.items():
        family.add_metric([reason], count)
    return family


def of_traces(traces: Traces) -> Iterator[Metric]:
    """What a tracing backend has been told."""
    yield Counter("edge_trace_spans_sent", "Spans that the tracing backend has taken.", traces.sent)
    family = Counter("edge_traced_requests_lost", "Requests that the tracing backend is not told of: too many waited "
                     "for it, or it wants none.", labels=["reason"])
    for reason, count in traces.lost.items():
        family.add_metric([reason], count)
    yield family


def expose(collector: SlabCollector, accept: str) -> tuple[bytes, str]:
    """The text and its content type, in the newest format that `accept` asks for and we know."""
    try:
        encoder, content_type = choose_encoder(accept)
    except (ValueError, TypeError):     # it asks for a version that is no number
        encoder, content_type = choose_encoder("")
    return encoder(collector), content_type
