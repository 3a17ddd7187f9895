"""What the gateway's own processes take."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat

MOST = 52_000       # KB; bench/processes.py has 42,000 here, and other systems' libraries differ


@pytest.mark.unsanitized
def test_proportional_memory(simulator: Simulator) -> None:
    """Supervisor, control and a worker take little after requests and scrapes: what is shared is shared."""
    with Gateway(configuration(simulator.url)) as edge:
        with Talk(edge.port) as talk:
            for _ in range(200):
                assert talk.send(chat()).answer().status == 200
        for _ in range(3):
            assert httpx.get(f"{edge.admin}/metrics", trust_env=False).status_code == 200
        sizes = {}
        for pid in (edge.process.pid, *edge.children()):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            sizes[pid] = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    assert sum(sizes.values()) < MOST, sizes
