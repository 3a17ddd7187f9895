"""A host that is parted from Redis by the network, in network namespaces, where the machine lets us have them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.partition import BURST
from tests.fleet.test_outage import STALL

OWN = ("unshare", "--map-root-user", "--net")
TRIED = "ip link set lo up && ip link add one type veth peer name other && unshare --net true"


def test_a_host_is_parted() -> None:
    """The link to Redis goes down: the host keeps to its policy, the other has the limit, and both share again."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))) or subprocess.run(
            [*OWN, "sh", "-c", TRIED], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets us have no network namespaces")
    done = subprocess.run([*OWN, sys.executable, "-m", "tests.fleet.partition"], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["excess"] <= BURST / 2             # it was used up when the link went down
    assert found["back"] < 5
    assert found["alone"].keys() == {"503"}         # outage: closed
    assert found["away"] == [1, 0]
    assert found["statuses"][0].keys() <= {"200", "429", "503"}
    assert found["statuses"][1].keys() <= {"200", "429"}
    assert max(found["longest"]) < STALL
