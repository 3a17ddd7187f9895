"""A host changes while others share with it: another program takes its place, and its configuration names no Redis."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.fleet.rack import Rack, Traffic, statuses
from tests.fleet.server import Server
from tests.fleet.test_outage import lines
from tests.lifecycle.test_clock import Step, clock
from tests.support.gateway import PLAIN, Gateway

assert clock                            # a fixture

RATE, BURST, ASKED = 40, 40, 40         # a second; the last by each of two hosts


@pytest.fixture(scope="module")
def stepped(clock: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rack, dict[str, Step]]]:
    """Two hosts, and what sets the wall clock of Redis, and of one host, so many seconds off."""
    with ExitStack() as stack:
        environ, steps = {}, {}
        for name in ("redis", "host"):
            file = tmp_path_factory.mktemp(name) / "step"
            file.write_bytes(struct.pack("d", 0.0))
            written = stack.enter_context(file.open("r+b", buffering=0))
            preload = " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(clock)]))
            environ[name] = {"LD_PRELOAD": preload, "STEP_FILE": str(file)}
            steps[name] = partial(put, written.fileno())
        server = stack.enter_context(Server(environ=environ["redis"]))
        rack = stack.enter_context(Rack(server, {"requests_per_second": RATE, "burst_size": BURST}, hosts=1))
        rack.count = 2
        rack.hosts.append(stack.enter_context(Gateway(rack.configuration(), environ=environ["host"])))
        rack.hosts[1].wait(lambda: rack.hosts[1].metric("edge_fleet_hosts") == 2)
        yield rack, steps


def put(file: int, off: float) -> None:
    """In place: a process that looks at an empty file dies."""
    os.pwrite(file, struct.pack("d", off), 0)


@pytest.fixture
def rack(stepped: tuple[Rack, dict[str, Step]]) -> Rack:
    """The two alone."""
    return stepped[0]


def test_an_upgrade(rack: Rack) -> None:
    """SIGUSR2 under load: no request fails, nothing is minted, and Redis is spoken with all the while."""
    host = rack.hosts[0]
    with Traffic(rack.hosts, ASKED) as traffic:
        host.wait(lambda: 429 in statuses(traffic.found), 20)
        begun, before = time.monotonic(), len(rack.upstream.asked)
        for count in (1, 2):
            host.process.send_signal(signal.SIGUSR2)
            host.wait(lambda count=count: host.log().count("upgrade complete") == count, 30)
        seen = len(traffic.found)
        host.wait(lambda: len(traffic.found) > seen + 40)
        admitted, lasted = len(rack.upstream.asked) - before, time.monotonic() - begun
    assert set(statuses(traffic.found)) <= {200, 429}
    assert admitted <= RATE * lasted + BURST / 2
    host.wait(lambda: host.metric("edge_fleet_hosts") == 2)
    assert not lines(rack, "Redis does not answer")


def test_redis_comes_and_goes(rack: Rack) -> None:
    """A reload that takes `redis:` out, or puts it in, fails no request; alone a host lets its own limit through."""
    host = rack.hosts[0]
    with_redis, without = rack.configuration(), rack.configuration()
    del without["redis"]
    with Traffic(rack.hosts, ASKED) as traffic:
        host.wait(lambda: 429 in statuses(traffic.found), 20)
        begun, before, alone = time.monotonic(), len(rack.upstream.asked), 0.0
        for _ in range(3):
            taken = time.monotonic()
            for given in (without, with_redis):
                assert host.reload(given).status_code == 200
                alone += time.monotonic() - taken if given is with_redis else 0.0
                seen = len(traffic.found)
                host.wait(lambda seen=seen: len(traffic.found) > seen + 20)
        admitted, lasted = len(rack.upstream.asked) - before, time.monotonic() - begun
    assert set(statuses(traffic.found)) <= {200, 429}
    assert admitted <= RATE * (lasted + alone) + BURST
    host.wait(lambda: host.metric("edge_fleet_hosts") == 2)


@pytest.mark.parametrize("whose", ["redis", "host"])
@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_a_clock(stepped: tuple[Rack, dict[str, Step]], whose: str, step: float) -> None:
    """A wall clock that is put forward or back, Redis's or a host's, fails nobody, and mints one burst at most."""
    rack, steps = stepped
    host = rack.hosts[1]
    with Traffic(rack.hosts, ASKED) as traffic:
        host.wait(lambda: 429 in statuses(traffic.found), 20)
        begun, before = time.monotonic(), len(rack.upstream.asked)
        for off in (step, 0.0):
            seen, wanted = len(traffic.found), step if whose == "host" else -step
            steps[whose](off)
            host.wait(lambda off=off, wanted=wanted: (abs(offset(host) - wanted) < 60) == bool(off))
            host.wait(lambda seen=seen: statuses(traffic.found[seen:])[200] > 20)
        admitted, lasted = len(rack.upstream.asked) - before, time.monotonic() - begun
    assert set(statuses(traffic.found)) <= {200, 429}
    assert admitted <= RATE * lasted + BURST * (1.5 if whose == "redis" else 0.5)


def offset(host: Gateway) -> float:
    """How far a host finds its clock from Redis's."""
    found: float = httpx.get(f"{host.admin}/admin/fleet", **PLAIN).json()["redis"]["offset"]
    return found
