"""A request that waits for what a limit misses: each row of the table that this takes, and what is left behind."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.fleet.rack import PATH, Client, Rack, body
from tests.fleet.server import Server
from tests.support.gateway import KEY

LIMIT = {"requests_per_second": 0.5, "burst_size": 2}
HEAD = b"POST %b HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"


def raw(sent: bytes) -> bytes:
    """A request's bytes."""
    return HEAD % (PATH.encode(), KEY.encode()) + b"content-length: %d\r\n\r\n%b" % (len(sent), sent)


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    """A host for all of them."""
    with Server() as server, Rack(server, {"requests_per_second": 1}, hosts=1) as rack:
        yield rack


def test_a_request_waits_and_is_admitted_or_refused(rack: Rack) -> None:
    """What a limit of few units misses is asked for: there is something, and then there is nothing."""
    rack.use(LIMIT, 4)
    client = Client(rack.hosts[0])
    assert [client.ask()[0] for _ in range(3)] == [200, 200, 429]
    assert rack.hosts[0].metric("edge_requests_in_flight") == 0


def test_a_client_leaves_while_it_waits(rack: Rack) -> None:
    """Who is gone before Redis has answered has taken nothing: its unit is there for the next one."""
    rack.use(LIMIT, 4)
    host, server = rack.hosts[0], rack.server
    assert isinstance(server, Server)
    before = host.metric("edge_requests_total", condition="client_closed")
    for _ in range(5):
        server.stop()
        with socket.create_connection(("127.0.0.1", host.port)) as sock:
            sock.sendall(raw(body()))
        server.go_on()
    host.wait(lambda: host.metric("edge_requests_total", condition="client_closed") - before
              + len(rack.upstream.asked) >= 5)
    left = 2 - len(rack.upstream.asked)
    time.sleep(0.2)
    client = Client(host)
    found = [client.ask()[0] for _ in range(3)]
    assert found.count(200) >= max(0, left)


def test_those_behind_it_wait(rack: Rack) -> None:
    """A pipelined request behind one that waits is answered in its turn."""
    rack.use(LIMIT, 4)
    with socket.create_connection(("127.0.0.1", rack.hosts[0].port), timeout=10) as sock:
        sock.sendall(raw(body()) * 3)
        seen = b""
        while b'"code":"rate_limit_exceeded"' not in seen:
            seen += sock.recv(65536)
    assert re.findall(rb"HTTP/1.1 (\d+)", seen) == [b"200", b"200", b"429"]
