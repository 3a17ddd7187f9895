"""What Prometheus records and when it alerts; what to do then says the error contract, where it has the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from edge.contract.conditions import Meaning, conditions

OBJECTIVE = 0.995           # of the requests are not to fail by a provider or by the gateway
HEADER = "# Made by: python -m deploy.monitoring (make pages). What is changed here is overwritten there.\n"
# What the gateway answers by itself is no traffic, and would dilute the failures of what is. A maintenance is none.
TRAFFIC = 'route!~"health|livez|readyz|stats",condition!="maintenance"'
FAILED = 'blame=~"upstream|edge"'
WINDOWS = ("5m", "30m", "1h", "6h")

Clause = tuple[str, str, str]       # a value, a comparison, a bound


@dataclass(frozen=True, slots=True)
class Alert:
    """It fires when all clauses have held for the time of `hold`. Its texts are Prometheus' templates."""

    name: str
    clauses: tuple[Clause, ...]
    hold: str
    severity: str                   # critical: wake somebody; warning: look at it today; info: know it
    summary: str
    runbook: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def expression(self) -> str:
        """Its PromQL."""
        return "\nand ".join(" ".join(clause) for clause in self.clauses)

    def rule(self) -> dict[str, Any]:
        """As Prometheus reads it."""
        return {"alert": self.name, "expr": self.expression, "for": self.hold,
                "labels": {"severity": self.severity, **dict(self.labels)},
                "annotations": {"summary": self.summary, "runbook": self.runbook}}


def recorded() -> dict[str, str]:
    """Recording rules: names and what they are."""
    ratios = {f"edge:failures:ratio_rate{window}":
              f"sum by (job) (rate(edge_requests_total{{{FAILED},{TRAFFIC}}}[{window}]))\n"
              f"/ sum by (job) (rate(edge_requests_total{{{TRAFFIC}}}[{window}]))" for window in WINDOWS}
    return {"edge:requests:rate5m":
            f"sum by (job, condition, blame) (rate(edge_requests_total{{{TRAFFIC}}}[5m]))", **ratios}


def says(name: str) -> str:
    """What the contract says of a condition: what it is, why, what to do."""
    meaning = conditions().meanings[name]
    return f"{meaning.summary} Cause: {meaning.cause} Fix: {meaning.fix}"


def spike(meaning: Meaning) -> Alert:
    """A condition comes five times as often as in the hour before, or comes at all where it never did."""
    now = f'edge:requests:rate5m{{condition="{meaning.name}"}}'
    before = f"(avg_over_time({now}[1h] offset 10m) or 0 * {now})"
    ours = meaning.blame in ("upstream", "edge")
    return Alert(
        "EdgeConditionSpike", ((now, ">", f"5 * {before}"), (now, ">", "0.2" if ours else "1")), "2m",
        "warning" if ours else "info",
        f"{meaning.name}: {{{{ $value | humanize }}}} requests a second, five times the hour before",
        f"{says(meaning.name)} All of it: edge explain {meaning.name}; single requests: the log's lines with this "
        "condition.", (("condition", meaning.name), ("blame", meaning.blame)))


def burning(severity: str, factor: float, long: str, short: str, hold: str) -> Alert:
    """The budget of failures is used up `factor` times too fast, by both windows."""
    bound = f"{factor:g} * {1 - OBJECTIVE:.4g}"
    failures = f"sum by (job) (increase(edge_requests_total{{{FAILED},{TRAFFIC}}}[{long}]))"
    return Alert(
        "EdgeErrorBudgetBurns",
        ((f"edge:failures:ratio_rate{long}", ">", bound), (f"edge:failures:ratio_rate{short}", ">", bound),
         (failures, ">", "10")),
        hold, severity,
        f"{{{{ $value | humanizePercentage }}}} of the requests failed within {long}",
        f"The objective is {OBJECTIVE:.1%}; at this pace the budget of 30 days is gone in {30 / factor:.1f} days. The "
        "dashboard edge / errors shows by which conditions. A provider's fault: edge circuits, and a fallback for it "
        "in the configuration. The gateway's own: edge status, and its log.", (("window", long),))


TARGET = "(job, provider, target)"
INTERNAL = 'edge_requests_total{condition="internal_error"}'
# How a provider, a fleet's Redis or a process is doing; what requests meet then are the conditions' own alerts.
STATES = (
    Alert("EdgeDown", (('up{job="edge"}', "==", "0"),), "1m", "critical",
          "Prometheus does not reach {{ $labels.instance }}",
          "On that host: edge status. Where nothing runs, its service manager's log says why it ended (78: the "
          "configuration). Where it runs: admin.listen_addr, admin.key and the network between it and Prometheus."),
    Alert("EdgeInternalError",      # a new series begins at 1, of which increase() sees nothing
          ((f"sum by (job) ({INTERNAL} - ({INTERNAL} offset 10m or 0 * {INTERNAL}))", ">", "0"),), "0m", "critical",
          "The gateway failed by a fault of its own", says("internal_error")),
    Alert("EdgeProviderDown", (("min by (job, provider) (edge_circuit_state)", ">", "0"),), "2m", "critical",
          "No target of {{ $labels.provider }} takes requests on any host",
          f"{says('provider_unreachable')} How it is now: edge circuits."),
    Alert("EdgeProviderUnhealthy", (("min by (job, provider) (edge_target_ailing)", ">", "0"),), "2m", "warning",
          "The health checks of {{ $labels.provider }} fail on all hosts",
          "The log says why (provider is unhealthy). A path that the provider does not have, or that its key may not "
          "read, fails too: see health_check in the provider's section."),
    Alert("EdgeCircuitOpen", ((f"max by {TARGET} (edge_circuit_state)", "==", "2"),), "10m", "warning",
          "The circuit of {{ $labels.target }} has been open for 10 minutes", says("circuit_open")),
    Alert("EdgeBreakerFlaps", ((f"max by {TARGET} (increase(edge_circuit_opened_total[30m]))", ">", "5"),), "0m",
          "warning", "The circuit of {{ $labels.target }} opened {{ $value | humanize }} times in half an hour",
          "It fails, recovers for a probe, and fails again under load: often a provider that is too small, or a "
          "timeout that is too short (provider_timeout among edge_attempt_failures_total). Take it out until it is "
          "well (edge circuits open TARGET), or give it less to do: max_connections, weight."),
    Alert("EdgeCircuitForced", ((f"max by {TARGET} (edge_circuit_forced)", ">", "0"),), "12h", "info",
          "An operator's word on {{ $labels.target }} has stood for 12 hours", "To end it: edge circuits auto TARGET."),
    Alert("EdgeProviderKeyRests",
          (("max by (job, provider, target, key) (edge_provider_key_benched_seconds)", ">", "300"),), "2m", "warning",
          "A key of {{ $labels.provider }} is not used",
          f"It was refused, or its account or limit is spent. {says('provider_auth')}"),
    Alert("EdgeQueueFull", (("sum by (job, provider) (rate(edge_provider_queue_refused_total[5m]))", ">", "0"),), "5m",
          "warning", "Requests to {{ $labels.provider }} find no place in its queue", says("gateway_overloaded")),
    Alert("EdgeRetryBudgetSpent", (("sum by (job) (rate(edge_retry_budget_refused_total[5m]))", ">", "0"),), "5m",
          "warning", "So many attempts fail that the rest are not made again",
          "A provider fails widely: edge circuits says which. Retries are held to retry.budget so that an outage is "
          "not multiplied; clients get the failure itself."),
    Alert("EdgeLimiterDegraded", (('max by (job, instance) (edge_redis_state{state="away"})', "==", "1"),), "30s",
          "critical", "{{ $labels.instance }} limits without Redis",
          "Limits go on by their policy (outage: share, closed or open). edge fleet says why Redis does not answer. "
          "Nothing has to be restarted: hosts come back by themselves."),
    Alert("EdgeLimiterSlow", (('avg_over_time(edge_redis_state{state="slow"}[10m])', ">", "0.2"),), "5m", "warning",
          "Redis answers {{ $labels.instance }} slowly",
          "Requests under a warm limit do not wait for it, those under a cold one do not wait any more. Look at "
          "Redis's own load and at the network: edge fleet shows the lag."),
    Alert("EdgeLimitNotShared", (('max by (job, instance) (edge_fleet_limits{state="faulty"})', ">", "0"),), "5m",
          "warning", "{{ $value }} limits of {{ $labels.instance }} cannot be shared",
          "edge fleet names them and what is wrong."),
    Alert("EdgeCertificateEnds",
          (("min by (job, provider) (edge_provider_certificate_expires_timestamp_seconds) - time()", "<",
            "14 * 86400"),), "1h", "warning",
          "The certificate of {{ $labels.provider }} ends in {{ $value | humanizeDuration }}",
          f"When it has ended all its requests fail. {says('provider_unreachable')}"),
    Alert("EdgeWorkerRestarts", (("sum by (job, instance) (increase(edge_worker_restarts_total[15m]))", ">", "2"),),
          "0m", "critical", "Workers of {{ $labels.instance }} die",
          "Each death cuts that worker's requests. The log says how it ended; a kernel that ends it for memory says so "
          "in dmesg: lower limits.memory_bytes, or give the host more."),
    Alert("EdgeReloadRefused",
          (("min by (job, instance) (edge_config_last_reload_successful)", "==", "0"),), "5m", "warning",
          "{{ $labels.instance }} has refused its configuration",
          "What is on its disk is not what runs, and would not start: `edge config validate` tells every problem with "
          "its line, and so does the log. Mend it and `edge reload`."),
    Alert("EdgeDescriptorsScarce",
          (("max by (job, instance, process) (process_open_fds / process_max_fds)", ">", "0.9"),), "5m", "warning",
          "{{ $labels.process }} of {{ $labels.instance }} is at {{ $value | humanizePercentage }} of its descriptors",
          "At the end of them connections are refused. Raise LimitNOFILE (ulimit -n) and start anew, lower "
          "limits.connections, or add a host."),
    Alert("EdgeOverheadHigh",
          (("histogram_quantile(0.99, sum by (job, le) (rate(edge_overhead_seconds_bucket[5m])))", ">", "0.05"),),
          "10m", "warning", "The gateway itself takes {{ $value | humanizeDuration }} of a request (p99)",
          "It needs more processors than it has: look at workers, and at what else runs on the host. "
          "edge_requests_shed_total tells what it refused because of it."),
    Alert("EdgeLogLinesLost", (("sum by (job, instance) (increase(edge_log_lines_lost_total[15m]))", ">", "0"),), "0m",
          "warning", "Standard error did not take {{ $value | humanize }} lines of {{ $labels.instance }}",
          "Who reads the log is too slow, or its disk is full. Requests do not wait for it."),
    Alert("EdgeAccessLogLinesLost",
          (("sum by (job, instance, reason) (increase(edge_access_log_lines_lost_total[15m]))", ">", "0"),), "0m",
          "warning", "The access log of {{ $labels.instance }} lacks {{ $value | humanize }} lines",
          "unwritten: its file does not take them, and the log says why. behind: it stands still, or there is more "
          "than one thread can write: access_log.sample leaves out what is of no interest."),
)
BURNS = (burning("critical", 14.4, "1h", "5m", "2m"), burning("warning", 6, "6h", "30m", "15m"))


def alerts() -> dict[str, list[Alert]]:
    """All alerts, by the group that they are in."""
    return {"edge:budget": list(BURNS), "edge:states": list(STATES),
            "edge:conditions": [spike(meaning) for meaning in conditions().meanings.values()]}


class Writer(yaml.SafeDumper):
    """Texts of several lines stand as they are."""


Writer.add_representer(str, lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))


def page() -> str:
    """The file of rules."""
    groups: list[dict[str, Any]] = [{"name": "edge:recorded", "rules": [
        {"record": name, "expr": expression} for name, expression in recorded().items()]}]
    groups += [{"name": name, "rules": [alert.rule() for alert in found]} for name, found in alerts().items()]
    return HEADER + yaml.dump({"groups": groups}, Dumper=Writer, sort_keys=False, width=118, allow_unicode=True)
