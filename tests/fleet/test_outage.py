"""Redis slow, stopped, killed, emptied, restarted, or with other things in our place: what requests meet meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.fleet.rack import Client, Rack, statuses
from tests.fleet.server import Server
from tests.fleet.test_limits import JITTER, shared
from tests.fleet.upstream import Upstream

LIMIT = {"requests_per_second": 200, "burst_size": 100}
STALL = 0.5                 # seconds: no request waits so long for a Redis that does not answer, on a busy machine


def state(rack: Rack, name: str) -> Callable[[], bool]:
    """Whether all hosts say this of Redis."""
    return lambda: all(host.metric("edge_redis_state", state=name) == 1 for host in rack.hosts)


def lines(rack: Rack, message: str) -> list[dict[str, Any]]:
    """The first host's lines of the log that begin so."""
    return [line for line in rack.hosts[0].log_lines() if line["message"].startswith(message)]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_requests_go_on_without_redis(server: Server, how: str) -> None:
    """Nobody waits and nobody fails; each host keeps its share, says so, and has the whole again once Redis is back."""
    with Rack(server, LIMIT, hosts=2) as rack:
        rack.rest(0.5)
        rack.load(1.0)
        server.stop() if how == "stop" else server.kill()
        rack.hosts[0].wait(state(rack, "away"))
        begun = len(rack.upstream.asked)
        found = rack.load(3.0)
        assert set(statuses(found)) <= {200, 429}
        assert max(took for _, _, took in found) < STALL
        asked = rack.upstream.asked[begun:]
        assert 0.7 * 200 * 3 <= len(asked) <= 100 + 200 * (3 + JITTER)
        fields = [Client(host).ask()[1] for host in rack.hosts]
        assert all(each.get("x-edge-degraded") == "limits" for each in fields)
        server.go_on() if how == "stop" else server.start()
        rack.hosts[0].wait(state(rack, "answers"), 2.0)
        found = rack.load(2.0)
        assert set(statuses(found)) <= {200, 429}
        assert len(lines(rack, "Redis does not answer")) == 1
        assert lines(rack, "Redis does not answer")[0]["outage"] == "share"
        assert rack.upstream.over(200, 100) <= 100 + 200 * JITTER       # the declared policy's burst, once


@pytest.mark.parametrize(("outage", "status"), [("closed", 503), ("open", 200), ("share", 429)])
def test_a_limit_has_its_policy(server: Server, outage: str, status: int) -> None:
    """When Redis and the grace are gone a limit refuses everybody, or nobody, or whoever exceeds the host's share."""
    limit = {"requests_per_second": 0.01, "burst_size": 4, "outage": outage}
    with Rack(server, limit, hosts=2, redis={"grace": 0.2}) as rack:
        server.kill()
        rack.hosts[0].wait(state(rack, "away"))
        time.sleep(0.5)         # the grace: it is time itself that it is about
        client = Client(rack.hosts[0])
        found = [client.ask() for _ in range(5)]
        assert found[-1][0] == status
        if outage == "closed":
            assert found[-1][1]["x-edge-condition"] == "gateway_overloaded"
            assert found[-1][1]["retry-after"] == "1"
        if outage == "share":
            assert [one for one, _, _ in found] == [200, 200, 429, 429, 429]        # two of four, for each of two hosts


def test_an_open_limit_opens_no_other(server: Server) -> None:
    """Where a rate lets everybody pass for want of Redis, the same key's concurrent requests are limited as ever."""
    limit = {"requests_per_second": 0.01, "burst_size": 1, "concurrent_requests": 1, "outage": "open"}
    with Rack(server, limit, hosts=1, upstream=Upstream(delay=0.3), redis={"grace": 0.0}) as rack:
        server.kill()
        rack.hosts[0].wait(state(rack, "away"))
        found = rack.load(1.0, clients=2)
        assert set(statuses(found)) == {200, 429}
        asked = [at for at, _ in rack.upstream.asked]
        assert min(later - at for at, later in pairwise(asked)) >= 0.3


def test_redis_is_emptied(server: Server) -> None:
    """FLUSHALL begins a new epoch: no window sees more than the limit, and requests go on."""
    with Rack(server, LIMIT, hosts=2) as rack:
        rack.rest(0.5)
        rack.load(1.0)
        with server.client() as looked:
            for _ in range(3):
                looked.flushall()
                found = rack.load(1.5)
                assert set(statuses(found)) <= {200, 429}
        assert rack.upstream.over(200, 100) <= 200 * JITTER
        assert len([at for at, _ in rack.upstream.asked if at > rack.upstream.asked[-1][0] - 0.3]) > 20


def test_a_script_is_forgotten(server: Server) -> None:
    """A server that has lost our scripts is told them again."""
    with Rack(server, LIMIT, hosts=1) as rack:
        rack.rest(0.5)
        with server.client() as looked:
            looked.script_flush()
        assert {200} <= set(statuses(rack.load(1.0))) <= {200, 429}
        assert rack.hosts[0].metric("edge_redis_failures_total") == 0


def test_a_user_with_few_rights(server: Server) -> None:
    """EVAL on our keys and INFO are enough: a server that does not let us load scripts gets them with each call."""
    with server.client() as looked:
        looked.execute_command("ACL", "SETUSER", "edge", "on", ">secret", "~{edge*", "+@all", "-script", "-@admin")
    with Rack(server, LIMIT, hosts=1, redis={"username": "edge", "password": "secret"}) as rack:
        rack.rest(0.5)
        assert {200} <= set(statuses(rack.load(1.0))) <= {200, 429}
        assert len(lines(rack, "Redis lets us run scripts, but not load them")) == 1


@pytest.mark.parametrize(("put", "reason"), [
    (("SET", "mine"), "not ours"), (("HSET", "level", "3"), "WRONGTYPE"), (("SADD", "1 2 3 4 5"), "WRONGTYPE")])
def test_other_keys_in_our_place(server: Server, put: tuple[str, ...], reason: str) -> None:
    """What another program has put in a limit's place concerns that limit alone, is named, and stays as it is."""
    key = "{edge:0}:limit:key:test"
    with Rack(server, LIMIT, hosts=1) as rack:
        with server.client() as looked:
            looked.execute_command(put[0], key, *put[1:])
            theirs = looked.dump(key)
        client, host = Client(rack.hosts[0]), rack.hosts[0]
        assert client.ask()[0] == 200
        host.wait(lambda: any(each["fault"] for each in shared(host)))
        [line] = lines(rack, "a limit cannot be shared")
        assert line["key"] == key and reason in line["reason"]
        with server.client() as looked:
            assert looked.dump(key) == theirs
            looked.delete(key)
        host.wait(lambda: client.ask()[0] in (200, 429) and not any(each["fault"] for each in shared(host)))


@pytest.mark.parametrize(("child", "more"), [(-1, 0), (0, 100)])
def test_a_process_dies(server: Server, child: int, more: int) -> None:
    """Limits go on when a worker or control is killed; nothing is minted but the share while there is no control."""
    with Rack(server, LIMIT, hosts=2, workers=2) as rack:
        rack.rest(0.5)
        rack.load(0.5)
        for host in rack.hosts:
            os.kill(host.children()[child], signal.SIGKILL)
        time.sleep(1.5)
        rack.load(2.0)
        assert rack.upstream.over(200, 100) <= more + 200 * JITTER
        assert state(rack, "answers")()
