"""A provider that one host finds broken is known to all: circuit breakers, their one probe, and keys that rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2 as httpx
import pytest

from tests.fleet.rack import Client, body
from tests.fleet.server import Server
from tests.support.gateway import PLAIN, Gateway
from tests.support.simulator import Simulator

OPEN_TIME = 1.0
SHARED = 0.5                # seconds within which all know


def configuration(simulator: Simulator, server: Server, **changes: Any) -> dict[str, Any]:
    """A host's: a model at two targets, the first of which is asked first."""
    provider = {"kind": "openai", "base_url": f"{simulator.url}/v1", "keys": ["env:PROVIDER_KEY", "env:TEST_KEY"]}
    return {
        "port": 0, "listen_addr": "127.0.0.1", "admin": {"port": 0}, "workers": 2,
        "providers": {"one": provider, "two": provider}, "keys": [{"name": "test", "key": "env:TEST_KEY"}],
        "models": {"m": ["one/first", {"provider": "two", "model": "second", "priority": 1}]},
        "circuit_breaker": {"failures": 3, "open_time": OPEN_TIME, "max_open_time": OPEN_TIME, "ramp": 0},
        "redis": {"url": server.url}, **changes}


@pytest.fixture
def hosts(server: Server, simulator: Simulator) -> Iterator[list[Gateway]]:
    """Three of them."""
    with ExitStack() as stack:
        made = [stack.enter_context(Gateway(configuration(simulator, server))) for _ in range(3)]
        made[0].wait(lambda: made[0].metric("edge_fleet_hosts") == 3)
        yield made


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """One of the test's own."""
    with Simulator() as simulator:
        yield simulator


def circuit(host: Gateway, target: str = "one/first") -> dict[str, Any]:
    """What a host says of a target."""
    found = httpx.get(f"{host.admin}/admin/circuits", **PLAIN).json()["circuits"]
    return next(each for each in found if each["target"] == target)


def trip(host: Gateway) -> None:
    """Requests that fail at the first target, until its breaker is open."""
    client = Client(host)
    while circuit(host)["state"] == "closed":
        client.ask(body())


def asked(simulator: Simulator) -> int:
    """Requests that the first target got."""
    return sum(request["model"] == "first" for request in simulator.requests())


def test_an_opening_is_known_to_all(hosts: list[Gateway], simulator: Simulator) -> None:
    """The others open too, within half a second, without a request of their own having failed."""
    simulator.fault("status=500", model="first")
    trip(hosts[0])
    begun = time.monotonic()
    for host in hosts[1:]:
        host.wait(lambda host=host: circuit(host)["state"] == "open", 5)
    assert time.monotonic() - begun < 4 * SHARED        # of a machine that does other things too
    before = asked(simulator)
    assert Client(hosts[2]).ask(body())[1]["x-edge-target"] == "two/second"
    assert asked(simulator) == before


def test_one_probe_goes_out(hosts: list[Gateway], simulator: Simulator) -> None:
    """Each time that it is half-open one request of the whole fleet goes through; once it works all close."""
    simulator.fault("status=500", model="first")
    trip(hosts[0])
    for host in hosts[1:]:
        host.wait(lambda host=host: circuit(host)["state"] == "open", 5)
    before, clients = asked(simulator), [Client(host) for host in hosts]
    end = time.monotonic() + 5 * OPEN_TIME
    while time.monotonic() < end:
        for client in clients:
            assert client.ask(body())[0] == 200
        time.sleep(0.02)            # the simulator remembers a thousand
    probes = asked(simulator) - before
    assert 1 <= probes <= 5 / 0.75 + 1          # an opening lasts a quarter less at least
    simulator.reset()
    for host, client in zip(hosts, clients, strict=True):
        host.wait(lambda host=host, client=client: client.ask(body()) and circuit(host)["state"] == "closed", 15)


def test_a_success_of_ones_own_speaks_against_one_host(hosts: list[Gateway], simulator: Simulator) -> None:
    """A host whose requests succeed there does not believe one other, but two."""
    client = Client(hosts[2])
    assert client.ask(body())[1]["x-edge-target"] == "one/first"
    for host in hosts[:2]:
        simulator.fault("status=500", times=3, model="first")
        trip(host)
        client.ask(body())
    hosts[2].wait(lambda: client.ask(body())[1]["x-edge-target"] == "two/second", 5)


def test_a_key_that_rests_does_so_everywhere(hosts: list[Gateway], simulator: Simulator) -> None:
    """A provider key that one host finds rejected is not used by the others."""
    simulator.fault("status=401", key="sk-provider")
    Client(hosts[0]).ask(body())
    hosts[0].wait(lambda: "1" in circuit(hosts[0])["benched"], 5)
    for host in hosts[1:]:
        host.wait(lambda host=host: "1" in circuit(host)["benched"], 4 * SHARED)
        found = circuit(host)["benched"]["1"]
        assert abs(found - circuit(hosts[0])["benched"]["1"]) < 1.0


def test_without_redis_each_host_judges_for_itself(hosts: list[Gateway], simulator: Simulator, server: Server) -> None:
    """An open breaker becomes half-open, and closes, also while nobody can be asked for the probe."""
    simulator.fault("status=500", model="first")
    trip(hosts[0])
    server.kill()
    simulator.reset()
    client = Client(hosts[0])
    hosts[0].wait(lambda: client.ask(body()) and circuit(hosts[0])["state"] == "closed", 10)
