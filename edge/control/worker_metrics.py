"""What `/metrics` says of the workers' own counts: a row for each family. A count is a field of WorkerTotal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import HistogramMetricFamily as Histogram
from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

from edge._fast import SHORT_BOUNDS
from edge.control.state import State
from edge.values.figures import workers

SHORT = (*map(floatToGoString, SHORT_BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class Row:
    """A family: of one count, or of several that `label` tells apart, `counts` being its values and their counts."""

    kind: type[Counter] | type[Gauge]
    name: str
    text: str
    counts: str | dict[str, str]
    label: str | None = None

    def pairs(self) -> list[tuple[list[str], str]]:
        """The label's value, if there is one, and the count."""
        if isinstance(self.counts, str):
            return [([], self.counts)]
        return [([value], count) for value, count in self.counts.items()]


SUMS = (            # over all workers
    Row(Counter, "edge_limiter_decisions", "Requests that asked the limits.",
        {"admitted": "admitted", "refused_key": "refused_key", "refused_model": "refused_model",
         "refused_gateway": "refused_gateway", "shadowed": "shadowed"}, "decision"),
    Row(Gauge, "edge_connections", "Open connections.",
        {"downstream": "connections", "upstream": "upstream_connections"}, "side"),
    Row(Counter, "edge_log_lines_lost", "Lines that standard error did not take from a worker.", "lines_lost"),
    Row(Counter, "edge_connections_accepted", "Connections of clients.", "accepted"),
    Row(Counter, "edge_upstream_connections_opened", "Connections to providers.", "upstream_opened"),
    Row(Counter, "edge_upstream_connections_reused", "Requests sent on a connection that was kept.",
        "upstream_reused"),
    Row(Counter, "edge_retries", "Further attempts, at the same provider or at another.",
        {"same": "retries", "other": "fallbacks"}, "kind"),
    Row(Gauge, "edge_retries_in_flight", "Requests under way that take a share of the retry budget.", "retrying"),
    Row(Counter, "edge_retry_budget_refused", "Further attempts that the budget did not allow.", "budget_refused"),
    Row(Counter, "edge_requests_shed", "Requests refused because the event loop was late.", "shed"),
    Row(Counter, "edge_requests_degraded", "Requests admitted without Redis's word of a limit that hosts share.",
        "degraded"),
    Row(Gauge, "edge_reservations", "Requests on their way that have points reserved.", "reservations"),
    Row(Counter, "edge_reservations_expired", "Reservations of workers that died: given back, and not billed.",
        "expired"),
    Row(Counter, "edge_millionths_of_points", "What requests have cost, in millionths of a point.", "points"),
    Row(Counter, "edge_requests_unbilled", "Requests refused, as there was no place to write down what they cost.",
        "unbilled"),
)
BY_WORKER = (
    Row(Counter, "edge_worker_restarts", "Workers that were started again.", "restarts"),
    Row(Gauge, "edge_worker_heartbeat_age_seconds", "Time since the worker's event loop last turned.",
        "heartbeat_age"),
    Row(Gauge, "edge_memory_bytes", "Held by the worker for requests and answers.", "memory"),
)


def of_workers(state: State) -> Iterator[Metric]:
    """All rows."""
    found = workers(state.slab)
    for row in SUMS:
        family = row.kind(row.name, row.text, labels=[row.label] if row.label else [])
        for labels, count in row.pairs():
            family.add_metric(labels, sum(worker[count] for worker in found))
        yield family
    yield lag(state)
    for row in BY_WORKER:
        family = row.kind(row.name, row.text, labels=["worker"])
        for worker in found:
            for _, count in row.pairs():
                if worker[count] is not None:
                    family.add_metric([str(worker["worker"])], worker[count])
        yield family


def lag(state: State) -> Metric:
    """How late the loops' ticks are, ten of them a second: whatever keeps a worker from its requests shows here."""
    found = [state.slab.lag(index) for index in range(state.slab.workers)]
    family = Histogram("edge_worker_loop_lag_seconds", "How late the workers' event loops are, ten times a second.")
    counts = accumulate(map(sum, zip(*(each.counts for each in found), strict=True)))
    family.add_metric([], list(zip(SHORT, counts, strict=True)), sum(each.sum_ns for each in found) / 1e9)
    return family
