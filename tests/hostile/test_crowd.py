"""Many connections of one client: refused beyond a number, so that the others find room."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.looks import figures
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat, in_contract

MOST = 4


@pytest.fixture(params=["127.0.0.1", "::"], ids=["IPv4", "IPv6"])
def narrow(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A few connections an address, at a socket of either family."""
    limits = {"address_connections": MOST}
    with Gateway(configuration(simulator.url, limits=limits, listen_addr=request.param)) as running:
        yield running


class Elsewhere(Talk):
    """A client with another address."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.2", 0))
        self.unread = b""


def connected(edge: Gateway) -> int:
    """Open connections of clients."""
    count: int = figures(edge)["workers"][0]["connections"]
    return count


def test_connections_of_one_address(narrow: Gateway) -> None:
    """Beyond its number an address is told 503 in contract, and others are served; who leaves makes room."""
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(narrow.port)) for _ in range(MOST)]
        assert {talk.send(chat()).answer().status for talk in talks} == {200}
        with Talk(narrow.port) as beyond:
            answer = in_contract(beyond.answer(), "gateway_overloaded")
            assert answer.header("retry-after") == "1" and beyond.end() in ("fin", "reset")
        with Elsewhere(narrow.port) as other:
            assert other.send(chat()).answer().status == 200
        talks[0].socket.close()
        narrow.wait(lambda: connected(narrow) == MOST - 1)
        assert ask(narrow.port, chat()).status == 200
        assert talks[1].send(chat()).answer().status == 200


def test_a_flood_of_one_address(narrow: Gateway) -> None:
    """Whoever does not mind being refused takes no more than twice its number, and is forgotten when it leaves."""
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(Talk(narrow.port)) for _ in range(50 * MOST)]
        narrow.wait(lambda: figures(narrow)["workers"][0]["accepted"] >= len(flood))
        assert connected(narrow) <= 2 * MOST
        assert [talk.end() for talk in flood[2 * MOST:]].count("open") == 0
        with Elsewhere(narrow.port) as other:
            assert other.send(chat()).answer().status == 200
    narrow.wait(lambda: connected(narrow) == 0)
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(narrow.port)) for _ in range(MOST)]
        assert {talk.send(chat()).answer().status for talk in talks} == {200}


def test_a_limit_that_comes_with_a_reload(simulator: Simulator) -> None:
    """A reload puts the number into force for connections that come from then on, and takes it away again."""
    free = configuration(simulator.url)
    with Gateway(free) as edge, contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)) for _ in range(3)]
        assert {talk.send(chat()).answer().status for talk in talks} == {200}
        assert edge.reload({**free, "limits": {"address_connections": 1}}).status_code == 200
        assert stack.enter_context(Talk(edge.port)).send(chat()).answer().status == 200
        in_contract(ask(edge.port, chat()), "gateway_overloaded")
        assert edge.reload(free).status_code == 200
        assert ask(edge.port, chat()).status == 200
