"""Redis slow, stopped, killed, emptied, restarted, or with other things in our place: what requests meet meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.rack import Client, Rack, statuses
from tests.fleet.server import Server
from tests.fleet.test_limits import JITTER, LATE, shared
from tests.support.gateway import Gateway
from tests.support.talk import ask, request
from tests.support.talk import asked as asking

LIMIT = {"requests_per_second": 200, "burst_size": 100}
STALL = 0.5                 # seconds: no request waits so long for a Redis that does not answer, on a busy machine


def state(rack: Rack, name: str) -> Callable[[], bool]:
    """Whether all hosts say this of Redis."""
    return lambda: all(host.metric("edge_redis_state", state=name) == 1 for host in rack.hosts)


def lines(rack: Rack, message: str) -> list[dict[str, Any]]:
    """The first host's lines of the log that begin so, of this test."""
    return [line for line in rack.hosts[0].log_lines()[rack.lines:] if line["message"].startswith(message)]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Rack]:
    """Two for all of them."""
    with Server() as server, Rack(server, {"requests_per_second": 1}, hosts=2, workers=2) as rack:
        yield rack


@pytest.fixture
def rack(hosts: Rack) -> Iterator[Rack]:
    """The two, whose Redis a test may stop, kill and empty."""
    yield hosts
    server(hosts).mend()


def server(rack: Rack) -> Server:
    """Its Redis."""
    assert isinstance(rack.server, Server)
    return rack.server


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_requests_go_on_without_redis(rack: Rack, how: str) -> None:
    """Nobody waits and nobody fails; each host keeps its share, says so, and has the whole again once Redis is back."""
    rack.use(LIMIT, 0.5)
    rack.load(0.5)
    server(rack).stop() if how == "stop" else server(rack).kill()
    rack.hosts[0].wait(state(rack, "away"))
    begun = len(rack.upstream.asked)
    found = rack.load(2.0)
    assert set(statuses(found)) <= {200, 429}
    assert max(took for _, _, took in found) < STALL
    asked = rack.upstream.asked[begun:]
    assert 0.5 * 200 * 2 <= len(asked) <= 100 + 200 * (2 + JITTER)
    fields = [Client(host).ask()[1] for host in rack.hosts]
    assert all(each.get("x-edge-degraded") == "limits" for each in fields)
    server(rack).mend()
    rack.hosts[0].wait(state(rack, "answers"), 2.0)
    found = rack.load(1.0)
    assert set(statuses(found)) <= {200, 429}
    assert len(lines(rack, "Redis does not answer")) == 1
    assert lines(rack, "Redis does not answer")[0]["outage"] == "share"
    assert rack.upstream.over(200, 100) <= 100 + 200 * JITTER       # the declared policy's burst, once


POLICIES = {"closed": [503] * 5, "open": [200] * 5, "share": [200, 200, 429, 429, 429]}


def test_a_limit_has_its_policy(rack: Rack) -> None:
    """When Redis and the grace are gone a limit refuses everybody, or nobody, or whoever exceeds the host's share (two
    of four, for each of two hosts)."""
    keys = [{"name": name, "key": f"sk-{name}-0123456789abcdef", "rate_limit": {
        "requests_per_second": 0.01, "burst_size": 4, "outage": name}} for name in POLICIES]
    rack.use({}, 0, keys=keys, redis={"grace": 0.2})
    server(rack).kill()
    rack.hosts[0].wait(state(rack, "away"))
    time.sleep(0.5)         # the grace: it is time itself that it is about
    for outage, expected in POLICIES.items():
        sent = request(asking("m"), key=f"sk-{outage}-0123456789abcdef")
        found = [ask(rack.hosts[0].port, sent) for _ in range(5)]
        assert [answer.status for answer in found] == expected
        if outage == "closed":
            assert found[-1].header("x-edge-condition") == "gateway_overloaded"
            assert found[-1].header("retry-after") == "1"


def test_an_open_limit_opens_no_other(rack: Rack) -> None:
    """Where a rate lets everybody pass for want of Redis, the same key's concurrent requests are limited as ever."""
    rack.use({"requests_per_second": 0.01, "burst_size": 1, "concurrent_requests": 1, "outage": "open"}, 0,
             redis={"grace": 0.0})
    rack.upstream.delay = 0.3
    server(rack).kill()
    rack.hosts[0].wait(state(rack, "away"))
    found = rack.load(1.0, clients=2, hosts=rack.hosts[:1])
    rack.upstream.delay = 0.0
    assert set(statuses(found)) == {200, 429}
    asked = [at for at, _ in rack.upstream.asked]
    assert min(later - at for at, later in pairwise(asked)) >= 0.3


def test_redis_is_emptied(rack: Rack) -> None:
    """FLUSHALL begins a new epoch: no window sees more than the limit, and requests go on."""
    rack.use(LIMIT, 0.5)
    rack.load(0.5)
    with server(rack).client() as looked:
        for _ in range(2):
            looked.flushall()
            found = rack.load(1.5)
            assert set(statuses(found)) <= {200, 429}
    assert rack.upstream.over(200, 100) <= 200 * JITTER
    assert len([at for at, _ in rack.upstream.asked if at > rack.upstream.asked[-1][0] - 0.3]) > 20


def test_a_script_is_forgotten(rack: Rack) -> None:
    """A server that has lost our scripts is told them again."""
    rack.use(LIMIT, 0.5)
    failures = [host.metric("edge_redis_failures_total") for host in rack.hosts]
    with server(rack).client() as looked:
        looked.script_flush()
    assert {200} <= set(statuses(rack.load(0.5))) <= {200, 429}
    assert [host.metric("edge_redis_failures_total") for host in rack.hosts] == failures


def test_a_user_with_few_rights(rack: Rack) -> None:
    """EVAL on our keys and INFO are enough: a server that does not let us load scripts gets them with each call."""
    with server(rack).client() as looked:
        looked.execute_command("ACL", "SETUSER", "edge", "on", ">secret", "~{edge*", "+@all", "-script", "-@admin")
        rack.use(LIMIT, 0.5, redis={"username": "edge", "password": "secret"})
        looked.script_flush()
    assert {200} <= set(statuses(rack.load(0.5))) <= {200, 429}
    assert len(lines(rack, "Redis lets us run scripts, but not load them")) == 1


@pytest.mark.parametrize(("put", "reason"), [
    (("SET", "mine"), "not ours"), (("HSET", "level", "3"), "WRONGTYPE"), (("SADD", "1 2 3 4 5"), "WRONGTYPE")])
def test_other_keys_in_our_place(rack: Rack, put: tuple[str, ...], reason: str) -> None:
    """What another program has put in a limit's place concerns that limit alone, is named, and stays as it is."""
    rack.use(LIMIT, 0.5)
    key = f"{{edge:0}}:limit:key:{rack.name}"
    with server(rack).client() as looked:
        looked.execute_command(put[0], key, *put[1:])
        theirs = looked.dump(key)
    client, host = Client(rack.hosts[0]), rack.hosts[0]
    assert client.ask()[0] == 200
    host.wait(lambda: any(each["fault"] for each in shared(host)))
    [line] = lines(rack, "a limit cannot be shared")
    assert line["key"] == key and reason in line["reason"]
    with server(rack).client() as looked:
        assert looked.dump(key) == theirs
        looked.delete(key)
    host.wait(lambda: client.ask()[0] in (200, 429) and not any(each["fault"] for each in shared(host)))


def child(host: Gateway, name: str) -> int:
    """One of its processes."""
    return next(pid for pid in host.children() if name in Path(f"/proc/{pid}/cmdline").read_text())


@pytest.mark.parametrize(("name", "more"), [("worker", 0), ("control", 100)])
def test_a_process_dies(rack: Rack, name: str, more: int) -> None:
    """Limits go on when a worker or control is killed; nothing is minted but the share while there is no control."""
    rack.use(LIMIT, 0.5)
    rack.load(0.5)
    for host in rack.hosts:
        os.kill(child(host, name), signal.SIGKILL)
    for host in rack.hosts:
        host.wait(lambda host=host: len(host.children()) == 3 and host.metric("edge_redis_state", state="answers") == 1)
    rack.load(1.0)
    assert rack.upstream.over(200, 100, granted=True) <= 200 * LATE
    assert rack.upstream.over(200, 100) <= more + 200 * JITTER
    assert state(rack, "answers")()
