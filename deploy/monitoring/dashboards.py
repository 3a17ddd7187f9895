"""The dashboards: what happens, how providers do, what went wrong and what that means, the insides, the fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.monitoring.panels import SOURCE, Panel, laid_out, value_mapping
from deploy.monitoring.rules import FAILED, TRAFFIC
from edge.contract.conditions import conditions

JOB = 'job=~"$job"'
HERE = f'{JOB},provider=~"$provider"'
RATE = "$__rate_interval"
CIRCUIT = value_mapping({"0": "closed", "1": "half-open", "2": "open"})


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    name: str
    about: str
    panels: tuple[Panel, ...]
    by_provider: bool = False

    def json(self) -> dict[str, Any]:
        """As Grafana reads it."""
        variables = [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
            choice("job", "label_values(edge_config_version, job)")]
        if self.by_provider:
            variables.append(choice("provider", f"label_values(edge_provider_limit{{{JOB}}}, provider)"))
        return {"uid": f"edge-{self.name}", "title": f"edge / {self.name}", "description": self.about, "tags": ["edge"],
                "schemaVersion": 39, "version": 1, "editable": True, "refresh": "30s", "timezone": "",
                "time": {"from": "now-1h", "to": "now"}, "templating": {"list": variables},
                "annotations": {"list": []}, "panels": laid_out(self.panels),
                "links": [{"type": "dashboards", "tags": ["edge"], "title": "edge", "keepTime": True,
                           "includeVars": True, "asDropdown": False}]}


def choice(name: str, query: str) -> dict[str, Any]:
    """A variable: one value of a label, several, or all."""
    return {"name": name, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": 2, "includeAll": True, "multi": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


def rate(metric: str, by: str = "", where: str = JOB) -> str:
    """A counter's pace, summed."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{where}}}[{RATE}]))"


def share(quantile: float, metric: str, by: str = "", where: str = JOB) -> str:
    """A histogram's quantile."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[{RATE}])))"


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """The middle and both ends that matter."""
    return tuple((share(quantile, metric), f"p{quantile * 100:g}") for quantile in (0.5, 0.95, 0.99))


WORKED = f"{JOB},{TRAFFIC}"
OVERVIEW = Dashboard("overview", "What happens: requests, failures, times, tokens.", (
    Panel("Requests", ((rate("edge_requests_total", where=WORKED), ""),), "reqps", "stat", 4),
    Panel("Failed by providers or gateway", (
        (f"{rate('edge_requests_total', where=f'{WORKED},{FAILED}')} / {rate('edge_requests_total', where=WORKED)}",
         ""),), "percentunit", "stat", 4),
    Panel("In flight", ((f"sum (edge_requests_in_flight{{{JOB}}})", ""),), "short", "stat", 4),
    Panel("First byte, p95", ((share(0.95, "edge_time_to_first_byte_seconds"), ""),), "s", "stat", 4),
    Panel("Output tokens", ((rate("edge_tokens_total", where=f'{JOB},type="output"'), ""),), "short", "stat", 4),
    Panel("Circuits not closed", ((f"sum (edge_circuit_state{{{JOB}}} > bool 0)", ""),), "short", "stat", 4),
    Panel("Requests by model", ((rate("edge_requests_total", "model", WORKED), "{{model}}"),), "reqps", stacked=True),
    Panel("Requests by whose fault their end was", ((rate("edge_requests_total", "blame", WORKED), "{{blame}}"),),
          "reqps", stacked=True),
    Panel("Requests by route", ((rate("edge_requests_total", "route"), "{{route}}"),), "reqps", stacked=True),
    Panel("Whole time", quantiles("edge_request_duration_seconds"), "s"),
    Panel("Time to the first byte", quantiles("edge_time_to_first_byte_seconds"), "s"),
    Panel("The gateway's own share", quantiles("edge_overhead_seconds"), "s"),
    Panel("Tokens", ((rate("edge_tokens_total", "type"), "{{type}}"),), "short"),
    Panel("Tokens by model", ((rate("edge_tokens_total", "model", f'{JOB},type=~"input|output"'), "{{model}}"),),
          "short", stacked=True),
    Panel("What limits decided", ((rate("edge_limiter_decisions_total", "decision"), "{{decision}}"),), "reqps"),
))
PROVIDERS = Dashboard("providers", "How providers do: load, times, failed attempts, circuits, keys.", (
    Panel("Circuits", ((f"max by (provider, target) (edge_circuit_state{{{HERE}}})", "{{target}}"),), "short",
          "state-timeline", 24, mappings=CIRCUIT),
    Panel("Requests", ((rate("edge_requests_total", "provider", HERE), "{{provider}}"),), "reqps", stacked=True),
    Panel("Failed attempts", (
        (rate("edge_attempt_failures_total", "target, condition", HERE), "{{target}} {{condition}}"),), "reqps"),
    Panel("In flight", ((f"sum by (provider) (edge_requests_in_flight{{{HERE}}})", "{{provider}}"),)),
    Panel("Whole time, p95", (
        (share(0.95, "edge_request_duration_seconds", "provider", HERE), "{{provider}}"),), "s"),
    Panel("Time to the first byte, p95", (
        (share(0.95, "edge_time_to_first_byte_seconds", "provider, model", HERE), "{{provider}} {{model}}"),), "s"),
    Panel("Output tokens", (
        (rate("edge_tokens_total", "provider", f'{HERE},type="output"'), "{{provider}}"),)),
    Panel("There and allowed at once", (
        (f"sum by (provider) (edge_provider_active{{{HERE}}})", "{{provider}} there"),
        (f"sum by (provider) (edge_provider_limit{{{HERE}}})", "{{provider}} allowed"))),
    Panel("Waiting for a connection", (
        (f"sum by (provider) (edge_provider_waiting{{{HERE}}})", "{{provider}} waiting"),
        (rate("edge_provider_queue_refused_total", "provider", HERE), "{{provider}} refused a second"))),
    Panel("Keys that rest", (
        (f"max by (target, key) (edge_provider_key_benched_seconds{{{HERE}}})", "{{target}} {{key}}"),), "s"),
    Panel("Circuits opened", ((rate("edge_circuit_opened_total", "target", HERE), "{{target}}"),), "reqps"),
    Panel("Probes, and requests shut out", (
        (rate("edge_circuit_probes_total", "target", HERE), "{{target}} probes"),
        (rate("edge_circuit_shut_out_total", "target", HERE), "{{target}} shut out")), "reqps"),
    Panel("Further attempts", (
        (rate("edge_retries_total", "kind"), "{{kind}}"),
        (rate("edge_retry_budget_refused_total"), "refused by the budget")), "reqps"),
    Panel("Health checks that fail", ((f"max by (provider) (edge_target_ailing{{{HERE}}})", "{{provider}}"),)),
    Panel("Certificates end in", (
        (f"min by (provider) (edge_provider_certificate_expires_timestamp_seconds{{{HERE}}}) - time()",
         "{{provider}}"),), "s"),
    Panel("Circuits by an operator's word", (
        (f"max by (target, state) (edge_circuit_forced{{{HERE}}})", "{{target}} {{state}}"),)),
), by_provider=True)


def meanings() -> str:
    """The conditions as a page."""
    lines = ["| condition | whose fault | a retry | what it is | what to do |", "|---|---|---|---|---|"]
    for name, meaning in conditions().meanings.items():
        texts = (f"`{name}`", meaning.blame, meaning.retry, meaning.summary, meaning.fix)
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in texts) + " |")
    return "\n".join(lines)


WORDS = {name: f"{meaning.summary} {meaning.fix}" for name, meaning in conditions().meanings.items()}
WRONG = f'{JOB},condition!="ok"'
COUNTED = f"sum by (condition, blame, status, provider) (increase(edge_requests_total{{{WRONG}}}[$__range]))"
ERRORS = Dashboard("errors", "What went wrong, by condition, and what each condition means.", (
    Panel("Failed by providers or gateway", tuple(
        (f"edge:failures:ratio_rate{window}{{{JOB}}}", window) for window in ("5m", "1h", "6h")), "percentunit"),
    Panel("By condition: providers", (
        (rate("edge_requests_total", "condition", f'{JOB},blame="upstream"'), "{{condition}}"),), "reqps",
        stacked=True),
    Panel("By condition: gateway", (
        (rate("edge_requests_total", "condition", f'{JOB},blame="edge"'), "{{condition}}"),), "reqps", stacked=True),
    Panel("By condition: clients", (
        (rate("edge_requests_total", "condition", f'{JOB},blame="client"'), "{{condition}}"),), "reqps", stacked=True),
    Panel("By condition: keys and what they may do", (
        (rate("edge_requests_total", "condition", f'{JOB},blame="tenant"'), "{{condition}}"),), "reqps",
        stacked=True),
    Panel("Clients that left", (
        (rate("edge_requests_total", "provider", f'{JOB},condition="client_closed"'), "{{provider}}"),), "reqps"),
    Panel("What went wrong in this time, and what it means", (
        (f'label_replace({COUNTED} > 0, "meaning", "$1", "condition", "(.*)")', ""),), "short", "table", 24,
        columns={"meaning": {"mappings": value_mapping(WORDS), "custom.width": 900},
                 "Value": {"displayName": "requests", "decimals": 0}}),
    Panel("All conditions", kind="text", width=24, text=meanings()),
))
BY_INSTANCE = "{{instance}}"
BY_PROCESS = "{{instance}} {{process}}"
INSIDES = Dashboard("gateway", "The gateway's insides: workers, connections, memory, its own time.", (
    Panel("The gateway's own time", quantiles("edge_overhead_seconds"), "s"),
    Panel("Its own time by instance, p99", ((share(0.99, "edge_overhead_seconds", "instance"), BY_INSTANCE),), "s"),
    Panel("How late a worker's loop is, p99", (
        (share(0.99, "edge_worker_loop_lag_seconds", "instance"), BY_INSTANCE),), "s"),
    Panel("Requests refused as the loop was late", (
        (rate("edge_requests_shed_total", "instance"), BY_INSTANCE),), "reqps"),
    Panel("Connections", ((f"sum by (instance, side) (edge_connections{{{JOB}}})", "{{instance}} {{side}}"),)),
    Panel("Clients' connections", ((rate("edge_connections_accepted_total", "instance"), BY_INSTANCE),), "ops"),
    Panel("Providers' connections", (
        (rate("edge_upstream_connections_opened_total"), "opened"),
        (rate("edge_upstream_connections_reused_total"), "used again")), "ops"),
    Panel("Held for requests and answers", (
        (f"sum by (instance, worker) (edge_memory_bytes{{{JOB}}})", "{{instance}} {{worker}}"),), "bytes"),
    Panel("Since a worker's loop last turned", (
        (f"max by (instance, worker) (edge_worker_heartbeat_age_seconds{{{JOB}}})", "{{instance}} {{worker}}"),), "s"),
    Panel("Workers that were started again", (
        (f"sum by (instance) (increase(edge_worker_restarts_total{{{JOB}}}[$__range]))", BY_INSTANCE),)),
    Panel("Further attempts in flight", ((f"sum by (instance) (edge_retries_in_flight{{{JOB}}})", BY_INSTANCE),)),
    Panel("Log lines that were lost", (
        (rate("edge_log_lines_lost_total", "instance"), BY_INSTANCE),
        (rate("edge_access_log_lines_lost_total", "instance, reason"), "{{instance}} access log, {{reason}}"),
        (rate("edge_traced_requests_lost_total", "instance, reason"), "{{instance}} traces, {{reason}}")), "ops"),
    Panel("Spans told of", ((rate("edge_trace_spans_sent_total", "instance"), BY_INSTANCE),), "ops"),
    Panel("Points spent, and reserved for", (
        (f"{rate('edge_millionths_of_points_total')} / 1e6", "points a second"),
        (f"sum (edge_reservations{{{JOB}}})", "requests with points reserved"),
        (rate("edge_reservations_expired_total"), "reservations of dead workers a second"))),
    Panel("Costs on their way to the store", (
        (f"sum by (instance) (edge_journal_entries_waiting{{{JOB}}})", "{{instance}} waiting"),
        (rate("edge_journal_entries_total", "instance"), "{{instance}} posted a second"),
        (rate("edge_journal_entries_torn_total", "instance"), "{{instance}} torn a second"),
        (rate("edge_requests_unbilled_total", "instance"), "{{instance}} refused a second"))),
    Panel("Age of costs that the store does not have", (
        (f"max by (instance) (edge_journal_lag_seconds{{{JOB}}})", BY_INSTANCE),), "s"),
    Panel("Requests that the response cache was asked for", (
        (rate("edge_cache_requests_total", "instance, result"), "{{instance}} {{result}}"),
        (rate("edge_cache_answers_total", "instance"), "{{instance}} put in")), "ops"),
    Panel("Response cache in use", (
        (f"edge_cache_used_bytes{{{JOB}}} / edge_cache_size_bytes{{{JOB}}}", BY_INSTANCE),), "percentunit"),
    Panel("Processors in use by process", (
        (rate("process_cpu_seconds_total", "instance, process"), BY_PROCESS),)),
    Panel("Memory by process", ((f"process_resident_memory_bytes{{{JOB}}}", BY_PROCESS),), "bytes"),
    Panel("Descriptors in use by process", (
        (f"process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}}", BY_PROCESS),), "percentunit"),
    Panel("Since a process began", ((f"time() - process_start_time_seconds{{{JOB}}}", BY_PROCESS),), "s"),
    Panel("Reloads", (
        (f"sum by (instance, outcome) (increase(edge_config_reloads_total{{{JOB}}}[$__range]))",
         "{{instance}} {{outcome}}"),
        (f"min by (instance) (edge_config_last_reload_successful{{{JOB}}})", "{{instance}} last one came into force"))),
    Panel("Since the configuration was read", (
        (f"time() - edge_config_read_timestamp_seconds{{{JOB}}}", BY_INSTANCE),), "s"),
    Panel("Versions of the configuration", ((f"max by (instance) (edge_config_version{{{JOB}}})", BY_INSTANCE),)),
    Panel("Answers whose provider told no tokens", (
        (rate("edge_answers_without_usage_total", "provider, model"), "{{provider}} {{model}}"),), "reqps"),
    Panel("Tokens that were estimated", ((rate("edge_tokens_estimated_total", "type"), "{{type}}"),)),
    Panel("Maintenance", ((f"max by (instance) (edge_maintenance{{{JOB}}})", BY_INSTANCE),)),
    Panel("Programs", ((f"count by (version) (edge_build_info{{{JOB}}})", "{{version}}"),)),
))
FLEET = Dashboard("fleet", "Hosts that share limits: how Redis is, and what is left.", (
    Panel("Requests by instance", ((rate("edge_requests_total", "instance"), BY_INSTANCE),), "reqps", stacked=True),
    Panel("Hosts that each host knows", ((f"max by (instance) (edge_fleet_hosts{{{JOB}}})", BY_INSTANCE),)),
    Panel("Redis", ((f"max by (instance, state) (edge_redis_state{{{JOB}}}) == 1", "{{instance}} {{state}}"),)),
    Panel("From a call to its answer", ((f"max by (instance) (edge_redis_lag_seconds{{{JOB}}})", BY_INSTANCE),), "s"),
    Panel("Calls", (
        (rate("edge_redis_calls_total", "instance"), "{{instance}} answered"),
        (rate("edge_redis_failures_total", "instance"), "{{instance}} failed")), "ops"),
    Panel("Requests admitted without its word", (
        (rate("edge_requests_degraded_total", "instance"), BY_INSTANCE),), "reqps"),
    Panel("Clocks beside Redis's", ((f"max by (instance) (edge_redis_clock_offset_seconds{{{JOB}}})", BY_INSTANCE),),
          "s"),
    Panel("Shared limits", ((f"max by (instance, state) (edge_fleet_limits{{{JOB}}})", "{{instance}} {{state}}"),)),
    Panel("Left of the gateway's limit", ((f"min by (instance) (edge_limit_left{{{JOB}}})", BY_INSTANCE),)),
    Panel("Requests that there may be besides", (
        (f"min by (instance, owner) (edge_concurrent_requests_left{{{JOB}}})", "{{instance}} {{owner}}"),)),
    Panel("Places of concurrent requests", (
        (f"max by (instance, state) (edge_fleet_places{{{JOB}}})", "{{instance}} {{state}}"),)),
))
DASHBOARDS = (OVERVIEW, PROVIDERS, ERRORS, INSIDES, FLEET)
