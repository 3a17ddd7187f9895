"""One limit over several hosts: what it lets through, in all and over any window, requests and tokens."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from math import ceil
from typing import Any

import httpx2 as httpx
import pytest
import redis

from tests.fleet.rack import Client, Rack, Traffic, body, statuses
from tests.fleet.server import Server
from tests.fleet.upstream import Upstream
from tests.support.gateway import PLAIN, Gateway

LEVEL = """
local _, credit, at, born, interval = struct.unpack('<c8dddd', redis.call('GET', KEYS[1]))
return {string.format('%d', credit), string.format('%d', at), string.format('%d', born), string.format('%d', interval)}
"""
LOST = 30                   # tokens: of a purse that is not given back in time, as the machine does other things too
LATE = 0.1                  # seconds: a request that is admitted may reach the provider so much later than another one,
JITTER = 0.25               # and what hosts let pass by their share, where Redis answers late, is no more


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    """Three hosts for all of them; a request says how many tokens its answer uses, or it is two."""
    upstream = Upstream(lambda sent: json.loads(sent).get("seed", 2))
    with Server() as server, Rack(server, {"requests_per_second": 1}, workers=2, cache_max_size="8MB",
                                  upstream=upstream) as rack:
        yield rack


def test_a_burst_is_the_fleets(rack: Rack) -> None:
    """Three hosts together let a burst through, to the unit, and tell all others when there is more."""
    rack.use({"requests_per_second": 0.5, "burst_size": 10}, 20)
    clients = [Client(host) for host in rack.hosts]
    found = [client.ask() for _ in range(8) for client in clients]
    assert [status for status, _, _ in found].count(200) == 10
    assert len(rack.upstream.asked) == 10
    refused = [fields for status, fields, _ in found if status == 429]
    assert all(fields["x-ratelimit-limit"] == "10" and fields["x-ratelimit-remaining"] == "0" for fields in refused)
    wait = int(refused[-1]["retry-after"])
    assert 1 <= wait <= 2
    time.sleep(wait)            # it is the promise itself that is measured
    assert clients[0].ask()[0] == 200


@pytest.mark.parametrize(("rate", "burst"), [(400, 400), (50, 20)])
def test_no_window_lets_more_through(rack: Rack, rate: int, burst: int) -> None:
    """Under load on all hosts the provider sees no more than burst + rate * t in any window, and much of it."""
    rack.use({"requests_per_second": rate, "burst_size": burst}, burst / rate)
    found = rack.load(2.5)
    assert {200} <= set(statuses(found)) <= {200, 429}
    asked = rack.upstream.asked
    assert rack.upstream.over(rate, burst, granted=True) <= rate * LATE
    assert rack.upstream.over(rate, burst) <= rate * JITTER
    assert len(asked) >= burst + 0.8 * rate * (asked[-1][0] - asked[0][0])


def test_accounts_are_the_fleets(server: Server) -> None:
    """Hosts whose stores have an account of one name share its limits, whatever keys they have."""
    limit = {"rate_limit": {"requests_per_second": 2, "burst_size": 10}}
    with Rack(server, {"requests_per_second": 1000}, hosts=2, store="edge.db") as rack:
        secrets = []
        for host in rack.hosts:
            for path, said in (("accounts", {"name": "acme", **limit}), ("keys", {"name": "a", "account": "acme"})):
                made = httpx.post(f"{host.admin}/admin/{path}", json=said, **PLAIN)
                assert made.status_code == 201, made.text
            secrets.append(made.json()["secret"])
        rack.rest(4)
        begun = time.monotonic()
        found = [httpx.post(f"{host.url}/v1/chat/completions", content=body(), **PLAIN, headers={
            "authorization": f"Bearer {secret}", "content-type": "application/json"})
            for _ in range(12) for host, secret in zip(rack.hosts, secrets, strict=True)]
        passed = [answer.status_code for answer in found].count(200)
        assert 9 <= passed <= 11 + 2 * (time.monotonic() - begun)
        assert {answer.headers["x-edge-condition"] for answer in found if answer.status_code != 200} == {
            "account_rate_limited"}


def test_a_host_that_moves(rack: Rack) -> None:
    """Load on one host, and then on another, has more of the limit than a host's share each time."""
    rack.use({"requests_per_second": 60, "burst_size": 20}, 1)
    for host in rack.hosts:
        begun = len(rack.upstream.asked)
        rack.load(1.5, hosts=[host])
        asked = rack.upstream.asked[begun:]
        assert len(asked) >= 0.85 * 60 * (asked[-1][0] - asked[0][0])
    assert rack.upstream.over(60, 20) <= 60 * JITTER


def test_what_a_host_does_not_need_is_the_others(rack: Rack) -> None:
    """Requests that are fewer than a limit lets through are hardly refused, though they come by one host and then by
    another: what the first one has ahead of need leaves the others enough."""
    rack.use({"requests_per_second": 60, "burst_size": 20}, 1)
    found = []
    for host in rack.hosts * 2:
        with Traffic([host] * 4, 10) as traffic:
            time.sleep(1)
        found += traffic.found
    assert statuses(found)[429] <= len(found) / 20


def test_tokens_are_the_fleets(rack: Rack) -> None:
    """Tokens that answers use are missing everywhere, to the token: what was reserved beyond them is back."""
    limit = 6000
    rack.use({"tokens_per_minute": limit}, 59)
    rng, used = random.Random(7), 0
    clients = [Client(host) for host in rack.hosts]
    begun = time.monotonic()
    for number in range(30):
        seed = rng.randint(1, 60)
        assert clients[number % 3].ask(body(seed=seed, max_tokens=200))[0] == 200
        used += seed
    assert isinstance(rack.server, Server)
    with rack.server.client() as looked:
        left = whole(rack, looked, f"tokens@key:{rack.name}", limit / 60)
    assert limit - used - LOST <= left <= limit - used + (time.monotonic() - begun) * limit / 60


def whole(rack: Rack, looked: redis.Redis, name: str, rate: float) -> int:
    """The units of a limit, in Redis and at all hosts, when these have no request, and between two words of theirs."""
    for host in rack.hosts:
        host.wait(lambda host=host: all(each["reserved"] == 0 for each in shared(host)))
    while True:
        level = looked.eval(LEVEL, 1, f"{{edge:0}}:limit:{name}")
        held = sum(max(0, each["held"]) for host in rack.hosts for each in shared(host) if each["limit"] == name)
        if level == looked.eval(LEVEL, 1, f"{{edge:0}}:limit:{name}"):
            return held + int(level[0]) // ceil(10**9 / rate)


def shared(host: Gateway) -> list[dict[str, Any]]:
    """What a host says of the limits that it uses."""
    found: list[dict[str, Any]] = httpx.get(f"{host.admin}/admin/fleet", **PLAIN).json()["limits"]
    return found


def test_a_cached_answer_waits_for_its_limit(rack: Rack) -> None:
    """Who finds an answer in the cache is a request as any other to a limit that hosts share, and misses it as well."""
    rack.use({"requests_per_second": 1000, "burst_size": 1000}, 1)
    host, told = rack.hosts[0], {"key": rack.name, "request": json.loads(body()), "answer": {"made": "by hand"}}
    assert httpx.put(f"{host.admin}/admin/cache", json=told, **PLAIN).status_code == 201
    calls, client = host.metric("edge_redis_calls_total"), Client(host)
    status, fields, _ = client.ask(more={"x-edge-cache": "use"})
    assert (status, fields["x-edge-cache"], fields["x-ratelimit-remaining"]) == (200, "hit", "999")
    assert host.metric("edge_redis_calls_total") > calls and not rack.upstream.asked


def test_a_request_waits_for_its_limit_once(rack: Rack) -> None:
    """A key that nobody has used waits for one call to Redis; a warm one for none."""
    rack.use({"requests_per_second": 1000, "burst_size": 1000}, 1)
    client, host = Client(rack.hosts[0]), rack.hosts[0]
    assert client.ask()[0] == 200
    calls, begun = host.metric("edge_redis_calls_total"), time.monotonic()
    for _ in range(50):
        assert client.ask()[0] == 200
        time.sleep(0.01)
    calls = host.metric("edge_redis_calls_total") - calls
    assert calls < 20 + 10 * (time.monotonic() - begun)     # a word now and then, and a draw or two
