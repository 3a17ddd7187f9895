"""What the gateway's own processes take."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest
from harness.processes import own_kilobytes, tree

from tests.support.gateway import StartedGateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat

# KB for supervisor, control and a worker, whatever else runs: what they share with strangers counts in full.
# bench/README.md has the figure of a quiet machine, counted alike; other systems' libraries differ.
MOST = 58_000


@pytest.mark.unsanitized
def test_memory_of_all_processes(simulator: Simulator) -> None:
    """Supervisor, control and a worker take little after requests and scrapes: what is shared is shared."""
    with StartedGateway(configuration(simulator.url)):
        pass                # compiles what is not compiled yet; who compiles takes more
    with StartedGateway(configuration(simulator.url)) as edge:
        with Talk(edge.port) as talk:
            for _ in range(200):
                assert talk.send(chat()).answer().status == 200
        for _ in range(3):
            assert httpx.get(f"{edge.admin}/metrics", trust_env=False).status_code == 200
        sizes = own_kilobytes(edge.process.pid)
    assert len(sizes) == 3
    assert sum(sizes.values()) < MOST, sizes


def test_what_reads_files_is_in_no_process(simulator: Simulator) -> None:
    """No process that stays holds the parser of YAML or pydantic, which only whoever reads files needs."""
    with StartedGateway(configuration(simulator.url)) as edge:
        maps = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in tree(edge.process.pid)}
    assert len(maps) == 3
    assert [pid for pid, text in maps.items() if "_yaml" in text or "pydantic" in text] == []
