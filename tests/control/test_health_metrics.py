"""What `/metrics` says of targets and providers is what their memory holds."""

from __future__ import annotations

from typing import Any

import pytest

from edge._fast import Condition, Healths, monotonic
from edge.control.state import State
from edge.values.snapshot import Breaker, HealthCheck, Model, Provider, Secret, Target
from tests.control.running import make_snapshot
from tests.control.test_metrics import scrape, state_of, value

SECOND = 1_000_000_000
RULES = Breaker(failures=1, open_time=40)
GPT = {"provider": "first", "target": "first/gpt-5"}
CLAUDE = {"provider": "second", "target": "second/claude-*"}


def made(**changes: Any) -> tuple[State, Healths]:
    """Fresh memory."""
    state = state_of(make_snapshot(**changes))
    return state, Healths(state.slab)


def index(state: State, labels: dict[str, str]) -> int:
    """The target of these labels."""
    return state.registry.target(labels["provider"], labels["target"].partition("/")[2])


def test_circuit_state_follows_the_circuit() -> None:
    """0 is closed, 1 half-open, 2 open; each configured target has one, relayed paths included."""
    state, healths = made()
    for labels in (GPT, CLAUDE, {"provider": "first", "target": "first"}, {"provider": "second", "target": "second"}):
        assert value(scrape(state), "edge_circuit_state", **labels) == 0
    now = monotonic()
    healths.tell(index(state, GPT), False, RULES, now, now)
    assert value(scrape(state), "edge_circuit_state", **GPT) == 2
    healths.tell(index(state, CLAUDE), False, RULES, now - 100 * SECOND, now - 100 * SECOND)
    samples = scrape(state)
    assert value(samples, "edge_circuit_state", **CLAUDE) == 1
    assert value(samples, "edge_circuit_opened_total", **CLAUDE) == 1
    assert value(samples, "edge_circuit_probes_total", **CLAUDE) == 0


def test_failures_probes_and_misses_are_counted() -> None:
    """Failed attempts by condition, openings, probes and passed-by requests are those of the target."""
    state, healths = made()
    gpt, now = index(state, GPT), monotonic() - 200 * SECOND
    for condition in (Condition.provider_error, Condition.provider_error, Condition.provider_cut):
        healths.count(gpt, condition)
    for _ in range(2):
        healths.tell(gpt, False, RULES, now, now)
        now += 60 * SECOND
    assert healths.ask(gpt, 0, monotonic()) == "probe"
    for _ in range(4):
        healths.miss(gpt)
    samples = scrape(state)
    assert value(samples, "edge_attempt_failures_total", condition="provider_error", **GPT) == 2
    assert value(samples, "edge_attempt_failures_total", condition="provider_cut", **GPT) == 1
    assert value(samples, "edge_circuit_opened_total", **GPT) == 2
    assert value(samples, "edge_circuit_probes_total", **GPT) == 1
    assert value(samples, "edge_circuit_shut_out_total", **GPT) == 4
    assert value(samples, "edge_circuit_opened_total", **CLAUDE) is None


def test_operators_word_is_shown_while_it_holds() -> None:
    """A forced circuit shows the state that it is in, and who wanted it; `auto` ends both."""
    state, healths = made()
    for word, code in (("open", 2), ("closed", 0)):
        healths.force(index(state, GPT), word)
        samples = scrape(state)
        assert value(samples, "edge_circuit_state", **GPT) == code
        assert value(samples, "edge_circuit_forced", state=word, **GPT) == 1
        assert value(samples, "edge_circuit_forced", state=word, **CLAUDE) is None
    healths.force(index(state, GPT), "auto")
    assert not [name for name, _ in scrape(state) if name == "edge_circuit_forced"]


def test_ailing_is_shown_of_providers_that_are_checked() -> None:
    """Targets of a provider with a health check say whether it fails, others say nothing."""
    providers = (Provider("first", "openai", "https://first.test/v1", health_check=HealthCheck("/models")),
                 Provider("second", "anthropic", "https://second.test"))
    state, healths = made(providers=providers)
    assert value(scrape(state), "edge_target_ailing", **GPT) == 0
    healths.ail(index(state, GPT), True)
    samples = scrape(state)
    assert value(samples, "edge_target_ailing", **GPT) == 1
    assert value(samples, "edge_circuit_state", **GPT) == 2
    assert value(samples, "edge_target_ailing", **CLAUDE) is None


def test_benched_keys_are_numbered_and_count_down() -> None:
    """A provider key at rest is shown by its number, with the seconds that are left, and not longer."""
    keys = tuple(Secret(f"sk-{n}") for n in range(3))
    state, healths = made(providers=(Provider("first", "openai", "https://first.test/v1", keys),),
                          models=(Model("gpt-5", (Target("first"),)),))
    gpt, now = index(state, GPT), monotonic()
    healths.bench(gpt, 2, now + 30 * SECOND)
    healths.bench(gpt, 0, now - 1)
    samples = scrape(state)
    assert 0 < (value(samples, "edge_provider_key_benched_seconds", key="3", **GPT) or 0) <= 30
    assert len([name for name, _ in samples if name == "edge_provider_key_benched_seconds"]) == 1
    healths.forgive(gpt)
    assert not [name for name, _ in scrape(state) if name == "edge_provider_key_benched_seconds"]


def test_load_of_providers_is_the_sum_over_workers() -> None:
    """Requests there, waiting ones, the limit and refusals are those of all workers together."""
    state, _ = made()
    for worker in (0, 1):
        state.slab.carry(worker, state.registry.pool("second"), (3 + worker, 5, 100, 7))
    samples = scrape(state)
    for name, number in (("active", 7), ("waiting", 10), ("limit", 200), ("queue_refused_total", 14)):
        assert value(samples, f"edge_provider_{name}", provider="second") == number
        assert value(samples, f"edge_provider_{name}", provider="first") == 0


def test_retries_and_shedding_are_the_sum_over_workers() -> None:
    """Further attempts by kind, those that the budget refused, those under way, and shed requests are counted; so are
    those that Redis has not heard of, and how late the loops are."""
    state, _ = made()
    for worker in (0, 1):
        state.slab.beat(worker, {"retries": 1, "fallbacks": 2, "retrying": 3, "budget_refused": 4, "shed": 5,
                                 "degraded": 6, "lag": 2_500_000 * (worker + 1)})
    samples = scrape(state)
    assert value(samples, "edge_retries_total", kind="same") == 2
    assert value(samples, "edge_retries_total", kind="other") == 4
    assert value(samples, "edge_retries_in_flight") == 6
    assert value(samples, "edge_retry_budget_refused_total") == 8
    assert value(samples, "edge_requests_shed_total") == 10
    assert value(samples, "edge_requests_degraded_total") == 12
    late = [value(samples, "edge_worker_loop_lag_seconds_bucket", le=bound) for bound in ("0.002", "0.003", "0.005")]
    assert late == [0, 1, 2] and value(samples, "edge_worker_loop_lag_seconds_sum") == 0.0075


def test_target_named_twice_is_shown_once() -> None:
    """Two models that lead to the same model of a provider share its circuit, and its samples."""
    models = tuple(Model(name, (Target("first", "gpt-5"),)) for name in ("fast", "quick", "gpt-5"))
    state, _ = made(models=models)
    assert value(scrape(state), "edge_circuit_state", **GPT) == 0
    with pytest.raises(KeyError):
        state.registry.target("first", "fast")
