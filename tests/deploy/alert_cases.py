"""When each alert must fire and when it must not: series as Prometheus scrapes them, a sample a minute.

`a+bxn` is promtool's: n more samples, each b above the one before. `_` is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.contract.conditions import conditions

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """At a moment, what fires: the labels that an alert has besides its rule's own, and its summary; none: nothing."""

    alert: str
    at: str
    series: dict[str, str]
    fires: tuple[tuple[Labels, str], ...] = ()


def requests(condition: str, values: str, **labels: str) -> dict[str, str]:
    """The count of requests with this end. Prometheus is told whose fault it is by the gateway."""
    meaning = conditions().meanings.get(condition)
    named = {"job": "edge", "instance": "a", "route": "chat", "condition": condition,
             "blame": meaning.blame if meaning else "none", **labels}
    return {f"edge_requests_total{{{', '.join(f'{name}={value!r}' for name, value in named.items())}}}": values}


def gauge(name: str, values: str, **labels: str) -> dict[str, str]:
    """Another series."""
    said = ", ".join(f"{label}={value!r}" for label, value in {"job": "edge", "instance": "a", **labels}.items())
    return {f"{name}{{{said}}}": values}


JOB = {"job": "edge"}
PROCESS = {"process": "worker 0"}
HOST = {**JOB, "instance": "a"}
P = {"provider": "p"}
T = {"provider": "p", "target": "p/m"}
KEY = {**T, "key": "1"}
FAST, SLOW = {**JOB, "window": "1h"}, {**JOB, "window": "6h"}

STEADY: list[tuple[str, str, dict[str, str], Labels | None, str]] = [
    # alert, at, series, labels where it fires, summary
    ("EdgeDown", "3m", {"up{job='edge', instance='a'}": "1 0x5"}, HOST, "Prometheus does not reach a"),
    ("EdgeDown", "3m", {"up{job='edge', instance='a'}": "0 1x5", "up{job='other', instance='b'}": "0x5"}, None, ""),
    ("EdgeInternalError", "3m", requests("internal_error", "_ _ 1 1 1"), JOB,
     "The gateway failed by a fault of its own"),
    ("EdgeInternalError", "3m", requests("internal_error", "7x2 8x2"), JOB, "The gateway failed by a fault of its own"),
    ("EdgeInternalError", "15m", requests("internal_error", "1x20"), None, ""),
    ("EdgeInternalError", "3m", requests("provider_error", "1+1x5"), None, ""),
    ("EdgeProviderDown", "4m", {**gauge("edge_circuit_state", "2 2 1 2 1", **T),
                                **gauge("edge_circuit_state", "2x5", provider="p", target="p/other")},
     {**JOB, **P}, "No target of p takes requests on any host"),
    ("EdgeProviderDown", "4m", {**gauge("edge_circuit_state", "2x5", **T),
                                **gauge("edge_circuit_state", "0x5", provider="p", target="p/other")}, None, ""),
    ("EdgeProviderDown", "4m", {**gauge("edge_circuit_state", "2x5", **T),
                                **gauge("edge_circuit_state", "0x5", **T, instance="b")}, None, ""),
    ("EdgeProviderUnhealthy", "4m", gauge("edge_target_ailing", "1x5", **T), {**JOB, **P},
     "The health checks of p fail on all hosts"),
    ("EdgeProviderUnhealthy", "4m", gauge("edge_target_ailing", "1 1 0 1 1", **T), None, ""),
    ("EdgeCircuitOpen", "12m", gauge("edge_circuit_state", "2x15", **T), {**JOB, **T},
     "The circuit of p/m has been open for 10 minutes"),
    ("EdgeCircuitOpen", "12m", gauge("edge_circuit_state", "2x5 0x10", **T), None, ""),
    ("EdgeBreakerFlaps", "30m", gauge("edge_circuit_opened_total", "0+1x30", **T), {**JOB, **T},
     "The circuit of p/m opened 30 times in half an hour"),
    ("EdgeBreakerFlaps", "30m", gauge("edge_circuit_opened_total", "0x10 1x10 2x10", **T), None, ""),
    ("EdgeCircuitForced", "13h", gauge("edge_circuit_forced", "1x800", **T, state="open"), {**JOB, **T},
     "An operator's word on p/m has stood for 12 hours"),
    ("EdgeCircuitForced", "5h", gauge("edge_circuit_forced", "1x800", **T, state="open"), None, ""),
    ("EdgeProviderKeyRests", "5m", gauge("edge_provider_key_benched_seconds", "3600-60x10", **KEY), {**JOB, **KEY},
     "A key of p is not used"),
    ("EdgeProviderKeyRests", "5m", gauge("edge_provider_key_benched_seconds", "60x10", **KEY), None, ""),
    ("EdgeQueueFull", "12m", gauge("edge_provider_queue_refused_total", "0+5x15", **P), {**JOB, **P},
     "Requests to p find no place in its queue"),
    ("EdgeQueueFull", "12m", gauge("edge_provider_queue_refused_total", "5x15", **P), None, ""),
    ("EdgeRetryBudgetSpent", "12m", gauge("edge_retry_budget_refused_total", "0+5x15"), JOB,
     "So many attempts fail that the rest are not made again"),
    ("EdgeRetryBudgetSpent", "12m", gauge("edge_retry_budget_refused_total", "0 1x15"), None, ""),
    ("EdgeLimiterDegraded", "4m", gauge("edge_redis_state", "0 1x5", state="away"), HOST, "a limits without Redis"),
    ("EdgeLimiterDegraded", "4m", {**gauge("edge_redis_state", "0x5", state="away"),
                                   **gauge("edge_redis_state", "1x5", state="answers")}, None, ""),
    ("EdgeLimiterSlow", "20m", gauge("edge_redis_state", "1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1", state="slow"),
     {**HOST, "state": "slow"}, "Redis answers a slowly"),
    ("EdgeLimiterSlow", "20m", gauge("edge_redis_state", "1 0x20", state="slow"), None, ""),
    ("EdgeLimitNotShared", "7m", gauge("edge_fleet_limits", "2x10", state="faulty"), HOST,
     "2 limits of a cannot be shared"),
    ("EdgeLimitNotShared", "7m", {**gauge("edge_fleet_limits", "0x10", state="faulty"),
                                  **gauge("edge_fleet_limits", "9x10", state="used")}, None, ""),
    ("EdgeCertificateEnds", "90m", gauge("edge_provider_certificate_expires_timestamp_seconds", "869400x120", **P),
     {**JOB, **P}, "The certificate of p ends in 10d 0h 0m 0s"),
    ("EdgeCertificateEnds", "90m", gauge("edge_provider_certificate_expires_timestamp_seconds", "7000000x120", **P),
     None, ""),
    ("EdgeWorkerRestarts", "15m", gauge("edge_worker_restarts_total", "0x4 1x2 3x2 5x10", worker="0"), HOST,
     "Workers of a die"),
    ("EdgeWorkerRestarts", "15m", gauge("edge_worker_restarts_total", "0x10 1x10", worker="0"), None, ""),
    ("EdgeReloadRefused", "10m", gauge("edge_config_last_reload_successful", "1x2 0x10"), HOST,
     "a has refused its configuration"),
    ("EdgeReloadRefused", "10m", gauge("edge_config_last_reload_successful", "1x2 0x3 1x10"), None, ""),
    ("EdgeDescriptorsScarce", "10m", {**gauge("process_open_fds", "950x12", **PROCESS),
                                      **gauge("process_max_fds", "1000x12", **PROCESS)}, {**HOST, **PROCESS},
     "worker 0 of a is at 95% of its descriptors"),
    ("EdgeDescriptorsScarce", "10m", {**gauge("process_open_fds", "850x12", **PROCESS),
                                      **gauge("process_max_fds", "1000x12", **PROCESS)}, None, ""),
    ("EdgeOverheadHigh", "20m", {**gauge("edge_overhead_seconds_bucket", "0+0x20", le="0.05"),
                                 **gauge("edge_overhead_seconds_bucket", "0+60x20", le="0.1"),
                                 **gauge("edge_overhead_seconds_bucket", "0+60x20", le="+Inf")}, JOB,
     "The gateway itself takes 99.5ms of a request (p99)"),
    ("EdgeOverheadHigh", "20m", {**gauge("edge_overhead_seconds_bucket", "0+60x20", le="0.05"),
                                 **gauge("edge_overhead_seconds_bucket", "0+60x20", le="+Inf")}, None, ""),
    ("EdgeLogLinesLost", "15m", gauge("edge_log_lines_lost_total", "0x5 7x15"), HOST,
     "Standard error did not take 7 lines of a"),
    ("EdgeLogLinesLost", "15m", gauge("edge_log_lines_lost_total", "7x20"), None, ""),
    ("EdgeAccessLogLinesLost", "15m", gauge("edge_access_log_lines_lost_total", "0x5 7x15", reason="unwritten"),
     {**HOST, "reason": "unwritten"}, "The access log of a lacks 7 lines"),
    ("EdgeAccessLogLinesLost", "15m", gauge("edge_access_log_lines_lost_total", "7x20", reason="behind"), None, ""),
    # A tenth fails for ten minutes; keys fail; a few requests all fail; what is no traffic fails.
    ("EdgeErrorBudgetBurns", "90m", {**requests("ok", "0+900x90"),
                                     **requests("provider_error", "0x40 0+100x10 1000x50")}, None, ""),
    ("EdgeErrorBudgetBurns", "60m", {**requests("ok", "0+900x60"), **requests("key_unknown", "0+900x60")}, None, ""),
    ("EdgeErrorBudgetBurns", "60m", {**requests("ok", "0x60"), **requests("provider_error", "0+0.1x60")}, None, ""),
    ("EdgeErrorBudgetBurns", "60m", {**requests("ok", "0+900x60"), **requests("draining", "0+900x60", route="readyz")},
     None, ""),
]


def burning() -> list[Case]:
    """A tenth fails for an hour: both speeds. Four of a hundred for hours: the slow one alone."""
    return [Case("EdgeErrorBudgetBurns", "60m",
                 {**requests("ok", "0+900x60"), **requests("provider_error", "0+100x60")},
                 tuple((window, f"10% of the requests failed within {window['window']}") for window in (FAST, SLOW))),
            Case("EdgeErrorBudgetBurns", "7h",
                 {**requests("ok", "0+960x430"), **requests("provider_error", "0+40x430")},
                 ((SLOW, "4% of the requests failed within 6h"),))]


def of_conditions() -> list[Case]:
    """All conditions: where they never were; against a steady rate as high; a low rate; against a tenth of the rate."""
    found = conditions().meanings
    fires = tuple(({"job": "edge", "condition": name, "blame": meaning.blame},
                   f"{name}: 2 requests a second, five times the hour before") for name, meaning in found.items())
    return [Case("EdgeConditionSpike", at, {series: each for name in found
                                            for series, each in requests(name, values).items()}, fires * spikes)
            for at, values, spikes in (("10m", "0+120x20", 1), ("90m", "0+120x100", 0), ("15m", "0+6x20", 0),
                                       ("99m", "0+12x90 1200+120x20", 1))]


def cases() -> list[Case]:
    """All of them."""
    return [*(Case(alert, at, series, ((labels, text),) if labels is not None else ())
              for alert, at, series, labels, text in STEADY), *burning(), *of_conditions()]


def promtool(case: Case, rules: list[dict[str, Any]]) -> dict[str, Any]:
    """A case as promtool's unit tests have it; `rules` are those of its alert, each of which adds its own labels."""
    expected = []
    for labels, summary in case.fires:
        rule = next(rule for rule in rules if labels.items() >= {
            name: value for name, value in rule["labels"].items() if name in labels}.items())
        expected.append({"exp_labels": {**labels, **rule["labels"]},
                         "exp_annotations": {**rule["annotations"], "summary": summary}})
    return {"interval": "1m",
            "input_series": [{"series": name.replace("'", '"'), "values": values}
                             for name, values in case.series.items()],
            "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}]}
