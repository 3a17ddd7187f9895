"""Processes that die, freeze or run out of descriptors, and the requests that they must not take with them."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.storm import storm
from tests.faults.traffic import state
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Canary, ask, chat


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The provider."""
    with Simulator() as running:
        yield running


@pytest.mark.unsanitized
def test_killed_workers_under_load() -> None:
    """Killed workers lose no more than what was in flight in them, reset no queued connection, and leave no slot."""
    table = storm("kill", 4.0, 2)
    assert table.broken == []


def test_who_stands_still_alone_is_killed(simulator: Simulator) -> None:
    """A worker and a control that stand still are started again in seconds; a group that was stopped as one goes on."""
    config = configuration(simulator.url, workers=2)
    with Gateway(config) as edge, Gateway(config) as other, Canary(other.port) as canary:
        canary.wait(10)
        control, frozen, well = edge.children()
        group = other.children()
        os.killpg(other.process.pid, signal.SIGSTOP)
        for pid in (control, frozen):
            os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        edge.wait(lambda: not {control, frozen} & set(edge.children()) and len(edge.children()) == 3, 12)
        assert 4 < time.monotonic() - stopped < 10
        assert well in edge.children()
        assert edge.log().count("stands still") == 2
        assert edge.metric("edge_worker_restarts_total") == 1
        assert {ask(edge.port, chat()).status for _ in range(10)} == {200}
        edge.wait(lambda: time.monotonic() > stopped + 6)
        assert all(state(pid) == "T" for pid in group)
        os.killpg(other.process.pid, signal.SIGCONT)
        continued = time.monotonic()
        edge.wait(lambda: time.monotonic() > continued + 2.2)       # two looks of the supervisor's
        canary.wait(canary.served + 10)
        assert other.children() == group and "stands still" not in other.log()
    assert canary.failures == []


def test_descriptors_as_many_as_there_may_be(simulator: Simulator) -> None:
    """The soft limit of descriptors is raised to the hard one; where that is too few the log says what to do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Gateway(configuration(simulator.url, limits={"connections": 1000000})) as edge:
            for pid in (edge.process.pid, *edge.children()):
                limits = Path(f"/proc/{pid}/limits").read_text()
                row = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()
                assert row[3] == row[4] == str(hard)
            warnings = [line["message"] for line in edge.log_lines() if line["level"] == "warning"]
            assert len(warnings) == (hard < 1000000)
            assert all(str(hard) in line and "LimitNOFILE" in line for line in warnings)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
