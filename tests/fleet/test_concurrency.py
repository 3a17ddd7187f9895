"""Concurrent requests over several hosts: never more in all than there are places, wherever they are asked for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.fleet.server import Server
from tests.fleet.streams import Crowd
from tests.support.gateway import PLAIN, Gateway
from tests.support.talk import Talk, ask, chat

STALLED = {"stream": True, "fault": "tokens=9;stall=1"}
GOOD, BUSY, UNTOLD = 200, 429, 503
HELD = 2.0                  # seconds: longer than an epoch begins with a rest
SOON = 4.0                  # seconds, of which a machine with nothing else to do takes two at most


@pytest.fixture(scope="module")
def two() -> Iterator[Crowd]:
    """Two hosts for nearly all of them."""
    with Server() as server, Crowd(server, {"concurrent_requests": 1}) as crowd:
        yield crowd


@pytest.fixture
def crowd(two: Crowd) -> Iterator[Crowd]:
    """The two, and whatever was done to their Redis is over then."""
    yield two
    two.server.mend()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Holds connections, so that tests can let go of them."""
    with contextlib.ExitStack() as stack:
        yield stack


def hold(host: Gateway, stack: contextlib.ExitStack, **fields: str) -> int:
    """Begins a stream that does not end before its connection; the status that it has got."""
    talk = stack.enter_context(Talk(host.port))
    talk.send(chat(**STALLED, **fields))  # type: ignore[arg-type]
    return int(talk.socket.recv(12, socket.MSG_PEEK)[9:])


def told(host: Gateway) -> list[dict[str, Any]]:
    """What a host says of shared limits of concurrent requests."""
    found: list[dict[str, Any]] = httpx.get(f"{host.admin}/admin/fleet", **PLAIN).json()["concurrency"]
    return found


@pytest.mark.parametrize("most", [12, 60])
async def test_never_more_at_once(crowd: Crowd, most: int) -> None:
    """However many ask at two hosts of two workers, the provider never has more at once than there are places, and has
    much of that, from both hosts; limits of few places are had on demand, and others ahead of it."""
    crowd.use({"concurrent_requests": most})
    rush = await crowd.rush(2.0, most)
    assert crowd.peak() == most
    assert rush.mean(1.0, 2.0) >= 0.5 * most        # (a busy machine's clients are late themselves)
    assert {status for _, status in rush.answers} == {"200", "429"}
    assert all(rush.answers[host, "200"] for host in range(2))


def test_a_place_is_free_for_all(crowd: Crowd, stack: contextlib.ExitStack) -> None:
    """Who asks at one host after the other under a limit of one, each time as soon as it has its answer, has it."""
    crowd.use({"concurrent_requests": 1})
    talks = [stack.enter_context(Talk(host.port)) for host in crowd.hosts]
    statuses = [talk.send(chat()).answer().status for _ in range(10) for talk in talks]
    assert statuses.count(GOOD) >= 15       # a machine that does other things may need longer than one may wait


def test_what_is_held_ends_with_its_host(server: Server, stack: contextlib.ExitStack) -> None:
    """Places of streams are free for others at once when their worker is killed, and in ten seconds when their host is;
    they are held meanwhile, though control dies and Redis is emptied."""
    with Crowd(server, {"concurrent_requests": 4}, workers=1) as crowd:
        there, here = crowd.hosts
        assert [hold(there, stack) for _ in range(4)] == [GOOD] * 4
        assert ask(here.port, chat()).status == BUSY
        os.kill(there.children()[1], signal.SIGKILL)
        for _ in range(4):
            here.wait(lambda: hold(here, stack) == GOOD)
        os.kill(here.children()[0], signal.SIGKILL)
        until, emptied = time.monotonic() + HELD, False
        while time.monotonic() < until:
            assert ask(there.port, chat()).status == BUSY
            if not emptied and len(here.children()) == 2 and here.metric("edge_redis_state", state="answers") == 1:
                server.client().flushall()
                emptied, until = True, time.monotonic() + HELD
            time.sleep(0.05)
        begun = time.monotonic()
        for pid in [here.process.pid, *here.children()]:
            os.kill(pid, signal.SIGKILL)
        for _ in range(4):
            there.wait(lambda: hold(there, stack) == GOOD)
        assert time.monotonic() - begun < 10
        assert ask(there.port, chat()).status == BUSY


POLICIES = {"share": [GOOD, BUSY, BUSY, BUSY, BUSY], "closed": [UNTOLD] * 5, "open": [GOOD] * 4 + [BUSY]}


def test_redis_is_away(crowd: Crowd, stack: contextlib.ExitStack) -> None:
    """What is allotted may be filled for its time, and no more; then the limit's policy decides (one host's share, no
    request, or as many as the limit says on each host), and when Redis is back all of it counts again."""
    crowd.use({}, keys=[{"name": name, "key": f"sk-{name}-0123456789abcdef", "rate_limit": {
        "concurrent_requests": 2 + 2 * (name == "open"), "outage": name}} for name in POLICIES])
    here, there = crowd.hosts

    def get(host: Gateway, name: str) -> int:
        return hold(host, stack, authorization=f"Bearer sk-{name}-0123456789abcdef")
    crowd.server.stop()
    here.wait(lambda: here.metric("edge_redis_state", state="away") == 1)
    assert get(here, "share") == BUSY       # others may have their places still
    here.wait(lambda: get(here, "share") == GOOD)
    assert {name: [GOOD] * (name == "share") + [get(here, name) for _ in range(5 - (name == "share"))]
            for name in POLICIES} == POLICIES
    there.wait(lambda: get(there, "share") == GOOD)
    assert get(there, "share") == BUSY
    crowd.server.go_on()
    there.wait(lambda: all(host.metric("edge_redis_state", state="answers") == 1 for host in crowd.hosts))
    assert get(there, "open") == BUSY
    there.wait(lambda: get(there, "closed") == GOOD)


def test_redis_is_restarted(crowd: Crowd, stack: contextlib.ExitStack) -> None:
    """Redis comes back with nothing: within two seconds places are had as before, and never more than there are."""
    crowd.use({"concurrent_requests": 4})
    here, there = crowd.hosts
    assert [hold(here, stack), hold(there, stack)] == [GOOD, GOOD]
    crowd.server.kill()
    crowd.server.start()
    begun = time.monotonic()
    for host in crowd.hosts:
        host.wait(lambda host=host: hold(host, stack) == GOOD)
    assert time.monotonic() - begun < SOON
    assert [ask(host.port, chat()).status for host in crowd.hosts] == [BUSY, BUSY]


def test_a_number_is_changed(crowd: Crowd, stack: contextlib.ExitStack) -> None:
    """A lower number is in force on all hosts, also those that have not read it; what is on its way counts."""
    crowd.use({"concurrent_requests": 4})
    here, there = crowd.hosts
    with contextlib.ExitStack() as streams:
        assert [hold(here, streams), hold(there, streams)] == [GOOD, GOOD]
        assert here.reload(crowd.configuration(concurrent_requests=2)).status_code == 200
        assert ask(here.port, chat()).status == BUSY
        there.wait(lambda: ask(there.port, chat()).status == BUSY)
    there.wait(lambda: hold(there, stack) == GOOD)
    there.wait(lambda: hold(there, stack) == GOOD)
    assert [ask(host.port, chat()).status for host in crowd.hosts] == [BUSY, BUSY]
    for host in crowd.hosts:
        assert host.reload(crowd.configuration(concurrent_requests=3)).status_code == 200
    here.wait(lambda: hold(here, stack) == GOOD)
    assert [ask(host.port, chat()).status for host in crowd.hosts] == [BUSY, BUSY]


def test_other_keys_in_our_place(crowd: Crowd, stack: contextlib.ExitStack) -> None:
    """What another program has put in the place of a limit stays as it is, and that limit goes by its policy."""
    crowd.use({"concurrent_requests": 4})
    key, host = f"{{edge:0}}:places:concurrent_requests@key:{crowd.name}", crowd.hosts[0]
    with crowd.server.client() as asked:
        asked.hset(key, "theirs", "1")
    host.wait(lambda: hold(host, stack) == GOOD)
    host.wait(lambda: hold(host, stack) == GOOD)
    assert ask(host.port, chat()).status == BUSY
    assert any("redis.prefix" in each["fault"] for each in told(host))
    with crowd.server.client() as asked:
        assert asked.hgetall(key) == {"theirs": "1"}
