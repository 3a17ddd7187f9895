"""An operator's word on a target holds on all hosts: `edge circuits open`, `close` and `auto`, said on any of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2 as httpx
import pytest

from tests.fleet.server import Server
from tests.fleet.test_circuits import circuit, configuration
from tests.support.gateway import PLAIN, Gateway
from tests.support.simulator import Simulator

SOON = 5.0          # seconds; half a second on a machine that does nothing else


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all of them."""
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Likewise."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def three(server: Server, simulator: Simulator) -> Iterator[list[Gateway]]:
    """Likewise."""
    with ExitStack() as stack:
        yield [stack.enter_context(Gateway(configuration(simulator, server))) for _ in range(3)]


@pytest.fixture
def hosts(three: list[Gateway], server: Server) -> Iterator[list[Gateway]]:
    """Three of them, to which nobody has said anything."""
    for host in three:
        host.wait(lambda host=host: host.metric("edge_redis_state", state="answers") == 1)
    yield three
    server.mend()
    say(three[0], "auto")
    agreed(three, "auto")


def say(host: Gateway, state: str, target: str = "one/first") -> None:
    """What `edge circuits` sends."""
    httpx.post(f"{host.admin}/admin/circuits", json={"target": target, "state": state}, **PLAIN).raise_for_status()


def agreed(hosts: list[Gateway], forced: str) -> None:
    """Waits until all hosts hold to it."""
    for host in hosts:
        host.wait(lambda host=host: circuit(host)["forced"] == forced, SOON)


def test_a_word_holds_everywhere(hosts: list[Gateway]) -> None:
    """Whatever host it is said on, the last word wins, and it can be taken back from any other."""
    for host, word in zip([*hosts, hosts[0]], ("open", "closed", "open", "auto"), strict=True):
        say(host, word)
        agreed(hosts, word)
    assert circuit(hosts[1], "two/second")["forced"] == "auto"


def test_a_host_that_starts_hears_it(hosts: list[Gateway], simulator: Simulator, server: Server) -> None:
    """A host that comes later holds to what was said before, and its log says so."""
    say(hosts[0], "open")
    agreed(hosts, "open")
    with Gateway(configuration(simulator, server)) as late:
        agreed([late], "open")
        assert '"circuit forced"' in late.log() and "another host" in late.log()
        say(late, "auto")
        agreed(hosts, "auto")


def test_a_word_outlives_what_redis_forgets(hosts: list[Gateway], simulator: Simulator, server: Server) -> None:
    """After FLUSHALL the hosts say it once more, and a new host hears it."""
    say(hosts[0], "open")
    agreed(hosts, "open")
    server.client().flushall()
    with Gateway(configuration(simulator, server)) as late:
        agreed([*hosts, late], "open")


def test_a_word_without_redis(hosts: list[Gateway], server: Server) -> None:
    """While Redis is away it holds where it was said; the others hear the last one when it is back."""
    say(hosts[0], "open")
    agreed(hosts, "open")
    server.kill()
    say(hosts[1], "closed")
    time.sleep(0.5)             # which was the last one is known to within a call and its connection
    say(hosts[2], "auto")
    assert [circuit(host)["forced"] for host in hosts] == ["open", "closed", "auto"]
    server.start()
    for host in hosts:
        host.wait(lambda host=host: host.metric("edge_redis_state", state="answers") == 1, 15)
    agreed(hosts, "auto")


def test_what_is_no_word(hosts: list[Gateway], server: Server) -> None:
    """What stands there and is no operator's word is taken out, and changes nothing."""
    say(hosts[0], "open")
    agreed(hosts, "open")
    client = server.client()
    [name] = client.keys("*:orders")
    client.hset(name, mapping={"one/first": "7", "two/second": "garbage", "x": "1 1"})
    say(hosts[0], "closed")
    agreed(hosts, "closed")
    assert circuit(hosts[1], "two/second")["forced"] == "auto"
    hosts[0].wait(lambda: set(client.hgetall(name)) == {"one/first", "x"})
