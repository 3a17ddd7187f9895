"""One gateway with one worker for all hostile input, and the check that no test has left a mark on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Canary

HEAD_SECONDS = 1.0
BODY_SECONDS = 1.0
FIRST_BYTE_SECONDS = 2.0


def resident(pid: int) -> int:
    """Bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def figures(edge: Gateway) -> dict[str, Any]:
    """The gateway's /stats, by control, so that asking is no request of the data port."""
    found: dict[str, Any] = httpx.get(f"{edge.admin}/stats", timeout=10).raise_for_status().json()
    return found


def at_rest(edge: Gateway) -> dict[str, Any]:
    """Waits until no request is in flight and no client connected; the figures then."""
    def quiet() -> dict[str, Any] | None:
        now = figures(edge)
        busy = now["in_flight"] or any(worker["connections"] for worker in now["workers"])
        return None if busy else now
    found: dict[str, Any] = edge.wait(quiet)
    return found


def faults(edge: Gateway) -> list[dict[str, Any]]:
    """Lines of the log that tell of a fault of ours."""
    return [line for line in edge.log_lines() if "traceback" in line or line["message"] == "internal error"]


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


@pytest.fixture(scope="package")
def strict(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway that serves named models only."""
    models = {"gpt-4o": ["openai", "anthropic"], "spliced": [{"provider": "openai", "model": 'with "quotes" and \\'}]}
    with Gateway(configuration(simulator.url, models=models)) as running:
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
