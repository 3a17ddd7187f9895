"""What `/metrics` says of providers and targets: circuits, benched keys, load.

`edge_circuit_state` is there for each configured target. A target's counters come with its first failure, all of them
at once, so that the first opening is a step that `increase()` sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily as Counter
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric

from edge.control.state import State
from edge.values import figures

TARGET = ("provider", "target")
STATES = {"closed": 0, "half-open": 1, "open": 2}


def of_targets(state: State) -> Iterator[Metric]:
    """Each target's circuit, keys and failures."""
    checked = {provider.name for provider in state.snapshot.providers if provider.health_check is not None}
    circuit = Gauge("edge_circuit_state", "What requests meet: 0 closed, 1 half-open, 2 open.", labels=TARGET)
    forced = Gauge("edge_circuit_forced", "1 while an operator has said so.", labels=(*TARGET, "state"))
    ailing = Gauge("edge_target_ailing", "1 while the provider's health checks fail.", labels=TARGET)
    benched = Gauge("edge_provider_key_benched_seconds", "Until the provider's key is used again for the target.",
                    labels=(*TARGET, "key"))
    failed = Counter("edge_attempt_failures", "Attempts that failed, also those that became another one.",
                     labels=(*TARGET, "condition"))
    counters = {
        "opened": Counter("edge_circuit_opened", "How often the circuit has opened.", labels=TARGET),
        "probes": Counter("edge_circuit_probes", "Requests let through to see whether it works again.", labels=TARGET),
        "shut_out": Counter("edge_circuit_shut_out", "Requests that it could not be chosen for.", labels=TARGET)}
    for target in figures.targets(state.slab, state.registry, state.snapshot):
        labels = target["provider"], target["target"]
        circuit.add_metric(labels, STATES[target["state"]])
        if target["forced"] != "auto":
            forced.add_metric((*labels, target["forced"]), 1)
        if target["provider"] in checked:
            ailing.add_metric(labels, target["ailing"])
        for key, seconds in target["benched"].items():
            benched.add_metric((*labels, key), seconds)
        for condition, count in target["failed"].items():
            failed.add_metric((*labels, condition), count)
        if target["failed"] or any(target[name] for name in counters):
            for name, family in counters.items():
                family.add_metric(labels, target[name])
    yield from (circuit, forced, ailing, benched, failed, *counters.values())


def of_providers(state: State) -> Iterator[Metric]:
    """How much each provider has to do, and how much it may have."""
    families: dict[str, Gauge | Counter] = {
        "active": Gauge("edge_provider_active", "Requests that are there.", labels=["provider"]),
        "waiting": Gauge("edge_provider_waiting", "Requests that wait for a connection.", labels=["provider"]),
        "limit": Gauge("edge_provider_limit", "Requests that may be there at once.", labels=["provider"]),
        "refused": Counter("edge_provider_queue_refused", "Requests for which there was no room in its queue.",
                           labels=["provider"])}
    for provider in figures.providers(state.slab, state.registry, state.snapshot):
        for name, family in families.items():
            family.add_metric([provider["provider"]], provider[name])
    yield from families.values()


def certificates(expiries: Mapping[str, float]) -> Metric:
    """When the certificates end that providers have shown."""
    family = Gauge("edge_provider_certificate_expires_timestamp_seconds",
                   "Unix time when the certificate ends that the provider's last health check was shown.",
                   labels=["provider"])
    for provider, expires in expiries.items():
        family.add_metric([provider], expires)
    return family
