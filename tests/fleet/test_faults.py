"""Each thing that can happen to Redis happens to a running fleet under more load than its limit lets through."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.fleet.faults import FAULTS, Fault, Stage
from tests.fleet.rack import Rack, Traffic, statuses
from tests.fleet.test_outage import STALL, state

RATE, BURST, ASKED = 40, 40, 40         # a second; the last by each of two hosts
SOON = 5                                # seconds, of which a machine with nothing else to do takes two at most
LASTS = 0.3                             # seconds, once hosts have found it


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    """Two hosts for all of them."""
    with Stage() as stage, Rack(stage, {"requests_per_second": RATE, "burst_size": BURST}, hosts=2) as rack:
        rack.rest(0.1)
        yield rack


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault(rack: Rack, fault: Fault) -> None:
    """Nothing fails or waits, no second burst comes, and soon the fleet is as before."""
    stage, host = rack.server, rack.hosts[0]
    assert isinstance(stage, Stage)
    with Traffic(rack.hosts, ASKED) as traffic:
        host.wait(lambda: 429 in statuses(traffic.found), 20)       # the limit is used up
        begun, before = time.monotonic(), len(rack.upstream.asked)
        with fault.run(stage):
            if fault.seen:
                host.wait(state(rack, fault.seen))
            time.sleep(LASTS)
        host.wait(state(rack, "answers"), SOON)
        count = len(traffic.found)
        host.wait(lambda: 200 in statuses(traffic.found[count:]))   # an epoch begins with a rest
        admitted, lasted = len(rack.upstream.asked) - before, time.monotonic() - begun
    assert set(statuses(traffic.found)) <= {200, 429}
    assert max(took for _, _, took in traffic.found) < STALL
    assert admitted <= RATE * lasted + BURST / 2
