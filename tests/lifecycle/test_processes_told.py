"""What `/metrics` tells of the gateway's processes and of its reloads."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.gateway import PLAIN, Gateway, configuration
from tests.support.looks import resident
from tests.support.simulator import Simulator


@pytest.fixture(scope="module")
def told(running: Simulator) -> Iterator[Gateway]:
    """A gateway with two workers."""
    with Gateway(configuration(running.url, workers=2)) as gateway:
        yield gateway


def processes(gateway: Gateway, name: str) -> dict[str, float]:
    """A family's samples by process."""
    text = httpx.get(f"{gateway.admin}/metrics", **PLAIN).text
    return {sample.labels["process"]: sample.value for family in text_string_to_metric_families(text)
            for sample in family.samples if sample.name == name}


def pids(gateway: Gateway) -> dict[str, int]:
    """The processes by their names."""
    return dict(zip(("supervisor", "control", "worker 0", "worker 1"), [gateway.process.pid, *gateway.children()],
                    strict=True))


def test_every_process_is_told(told: Gateway) -> None:
    """Processor time, memory, descriptors and start of each process are those that the kernel knows."""
    known = pids(told)
    memory, opened = processes(told, "process_resident_memory_bytes"), processes(told, "process_open_fds")
    most, began = processes(told, "process_max_fds"), processes(told, "process_start_time_seconds")
    spent = processes(told, "process_cpu_seconds_total")
    assert set(memory) == set(opened) == set(most) == set(began) == set(spent) == set(known)
    for name, pid in known.items():
        assert memory[name] == pytest.approx(resident(pid), rel=0.3)
        assert opened[name] == pytest.approx(len(list(Path(f"/proc/{pid}/fd").iterdir())), abs=4) and opened[name] > 0
        assert most[name] == resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        assert time.time() - 120 < began[name] <= time.time()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert 0 <= spent[name] <= (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert sum(spent.values()) > 0


def test_a_successor_is_told(told: Gateway) -> None:
    """A worker that was killed is followed by another of the same name, which began later."""
    before = processes(told, "process_start_time_seconds")["worker 1"]
    os.kill(pids(told)["worker 1"], signal.SIGKILL)
    told.wait(lambda: processes(told, "process_start_time_seconds").get("worker 1", 0) > before, 20)
    assert len(pids(told)) == len(processes(told, "process_open_fds"))


def test_reloads_are_told(running: Simulator) -> None:
    """What came of the last reload, by whomever it was asked for, how many there were, and when the file was read."""
    with Gateway(configuration(running.url)) as gateway:
        def outcomes() -> tuple[float, float]:
            return (gateway.metric("edge_config_reloads_total", outcome="in_force"),
                    gateway.metric("edge_config_reloads_total", outcome="refused"))

        def last() -> bool:
            return "edge_config_last_reload_successful 1.0" in httpx.get(f"{gateway.admin}/metrics", **PLAIN).text

        assert outcomes() == (0, 0) and not last()
        read = gateway.metric("edge_config_read_timestamp_seconds")
        assert time.time() - 60 < read <= time.time()
        assert gateway.reload().status_code == 200
        assert outcomes() == (1, 0) and last()
        again = gateway.metric("edge_config_read_timestamp_seconds")
        assert again > read
        gateway.file.write_text("port: [\n")
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait(lambda: outcomes() == (1, 1))
        assert not last() and gateway.metric("edge_config_last_reload_successful") == 0
        assert gateway.reload().status_code == 500
        assert outcomes() == (1, 2) and gateway.metric("edge_config_read_timestamp_seconds") == again
