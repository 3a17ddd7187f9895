"""One gateway with one worker for all hostile input, and the check that no test has left a mark on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.stage import BODY_SECONDS, FIRST_BYTE_SECONDS, HEAD_SECONDS, Stage
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults
from tests.support.provider import Provider, echo
from tests.support.simulator import Simulator
from tests.support.talk import Canary


@pytest.fixture(scope="package")
def simulator() -> Iterator[Simulator]:
    """The provider behind the gateway."""
    with Simulator() as running:
        yield running


@pytest.fixture(scope="package")
def edge(simulator: Simulator) -> Iterator[Gateway]:
    """The gateway, with short times for what a client may take."""
    config = configuration(simulator.url, timeout=FIRST_BYTE_SECONDS, limits={
        "head_timeout": HEAD_SECONDS, "body_timeout": BODY_SECONDS, "keep_alive": 30})
    with Gateway(config) as running:
        yield running
        assert running.metric("edge_requests_total", condition="internal_error") == 0
        assert running.metric("edge_worker_restarts_total") == 0


@pytest.fixture
def slow_paced(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway whose connections may hardly idle."""
    with Gateway(configuration(simulator.url, limits={"body_timeout": BODY_SECONDS, "keep_alive": 0.5})) as running:
        yield running


@pytest.fixture(scope="package")
def strict(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway that serves named models only."""
    models = {"gpt-4o": ["openai", "anthropic"], "spliced": [{"provider": "openai", "model": 'with "quotes" and \\'}]}
    with Gateway(configuration(simulator.url, models=models)) as running:
        yield running


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    """One connection to the provider, so that whatever is left in it must meet the next; `many-*` may have more."""
    with Provider(echo) as provider:
        config = configuration(provider.url, timeout=1.0)
        config["providers"] = {
            "one": {"kind": "openai", "base_url": f"{provider.url}/v1", "max_connections": 1,
                    "timeouts": {"connect": 1, "idle": 1.0}},
            "many": {"kind": "openai", "base_url": f"{provider.url}/v1"}}
        config["models"] = {"many-*": "many", "*": "one"}
        with Gateway(config) as edge:
            yield Stage(edge, provider)
            assert edge.metric("edge_requests_total", condition="internal_error") == 0
            assert faults(edge) == []


@pytest.fixture
def behind() -> Iterator[Simulator]:
    """A provider for tests that take it away."""
    with Simulator() as running:
        yield running


@pytest.fixture
def away(behind: Simulator) -> Iterator[Gateway]:
    """The gateway before it."""
    with Gateway(configuration(behind.url)) as running:
        yield running


@pytest.fixture(autouse=True)
def undisturbed(edge: Gateway, simulator: Simulator) -> Iterator[Canary]:
    """During each test a canary is served; afterwards everything is as it was."""
    processes, told = edge.children(), len(faults(edge))
    with Canary(edge.port) as canary:
        canary.wait(1)
        yield canary
        canary.wait(canary.served + 1)
    assert canary.failures == []
    assert edge.children() == processes
    assert faults(edge)[told:] == []
    simulator.reset()
    assert all(worker["upstream_connections"] >= 0 for worker in at_rest(edge)["workers"])
