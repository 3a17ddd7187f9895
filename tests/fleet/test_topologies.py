"""Limits are shared through whatever Redis is made of: sentinels and their master of the day, or a cluster."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from edge.control.fleet.book import group
from edge.control.fleet.masters import SLOTS, slot
from tests.fleet.rack import Client, Rack, statuses
from tests.fleet.server import Server, binary, free_port
from tests.fleet.test_limits import JITTER
from tests.fleet.test_outage import LIMIT, state
from tests.support.gateway import Gateway
from tests.support.talk import ask, asked, request

SENTINEL = """port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


@pytest.fixture
def cluster() -> Iterator[Server]:
    """A cluster of one node, which has all slots."""
    with Server("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as node:
        with node.client() as looked:
            looked.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            end = time.monotonic() + 10
            while "cluster_state:ok" not in str(looked.execute_command("CLUSTER", "INFO")):
                assert time.monotonic() < end
                time.sleep(0.05)
        yield node


@pytest.fixture
def sentinel(server: Server) -> Iterator[int]:
    """The port of a sentinel that watches the server and its one replica."""
    with ExitStack() as stack:
        stack.enter_context(Server("--replicaof", "127.0.0.1", str(server.port)))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-sentinel-"))
        port, file = free_port(), Path(folder, "sentinel.conf")
        file.write_text(SENTINEL.format(port=port, folder=folder, master=server.port))
        process = subprocess.Popen([binary(), str(file), "--sentinel"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port, decode_responses=True) as looked:
                end, ready = time.monotonic() + 20, False
                while not ready:
                    assert time.monotonic() < end
                    time.sleep(0.1)
                    with contextlib.suppress(redis.RedisError):
                        ready = int(looked.sentinel_master("mymaster")["num-slaves"]) == 1
            yield port
        finally:
            process.kill()
            process.wait()


def test_a_cluster_shares_limits(cluster: Server) -> None:
    """In a cluster the limits of a request lie in several slots, and are kept all the same."""
    limit = {"requests_per_second": 0.5, "burst_size": 10, "requests_per_minute": 600, "tokens_per_minute": 6000}
    with Rack(cluster, limit, hosts=2, redis={"url": f"redis+cluster://127.0.0.1:{cluster.port}"}) as rack:
        rack.rest(20)
        clients = [Client(host) for host in rack.hosts]
        assert [client.ask()[0] for _ in range(8) for client in clients].count(200) == 10
        assert state(rack, "answers")()


def test_sentinels_name_another_master(server: Server, sentinel: int) -> None:
    """When the master dies the hosts follow to the next one, and its older levels mint nothing."""
    with Rack(server, LIMIT, hosts=2, redis={"url": f"redis+sentinel://127.0.0.1:{sentinel}/mymaster"}) as rack:
        rack.rest(0.5)
        rack.load(1.0)
        server.kill()
        rack.hosts[0].wait(state(rack, "away"))
        rack.hosts[0].wait(state(rack, "answers"), 20)
        found = rack.load(2.0)
        assert set(statuses(found)) <= {200, 429}
        assert rack.upstream.over(200, 100) <= 200 * JITTER


@pytest.fixture
def three() -> Iterator[list[Server]]:
    """A cluster of three nodes, of which each serves its slots whatever becomes of the others."""
    options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
    with ExitStack() as stack:
        nodes = [stack.enter_context(Server(*options, "--cluster-port", str(free_port()))) for _ in range(3)]
        looked = [stack.enter_context(node.client()) for node in nodes]
        bus = looked[0].config_get("cluster-port")["cluster-port"]
        for number, each in enumerate(looked):
            each.execute_command("CLUSTER", "ADDSLOTSRANGE", number * THIRD, min(SLOTS, (number + 1) * THIRD) - 1)
            each.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, bus)
        end = time.monotonic() + 20
        while any(len(each.execute_command("CLUSTER", "SLOTS")) < 3 for each in looked):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield nodes


SECRETS = ("sk-one-0123456789abcdef", "sk-two-0123456789abcdef")
THIRD = SLOTS // 3 + 1


def node_of(name: str) -> int:
    """Which of the three has a limit."""
    return slot(f"{{edge:{group(name, cluster=True)}}}") // THIRD


def test_one_of_a_cluster_is_away(three: list[Server]) -> None:
    """Its limits go by their policies, those of the others are shared, and it is back when it answers."""
    first = "key:first"
    other = next(name for name in (f"key:{number}" for number in range(99)) if node_of(name) != node_of(first))
    keys = [{"name": name[4:], "key": key, "rate_limit": {
        "requests_per_second": 1000, "burst_size": 1000, "outage": "closed"}}
        for name, key in zip((first, other), SECRETS, strict=True)]
    with Rack(three[0], {}, hosts=2, keys=keys, redis={
            "url": f"redis+cluster://127.0.0.1:{three[0].port}", "grace": 0.1}) as rack:
        for node in three:
            node.age(3)
        for host in rack.hosts:
            assert [answered(host, key) for key in SECRETS] == [200, 200]
        three[node_of(first)].stop()
        for host in rack.hosts:
            host.wait(lambda host=host: answered(host, SECRETS[0]) == 503, 20)
            host.wait(lambda host=host: answered(host, SECRETS[1]) == 200)
        found = [answered(host, SECRETS[1]) for _ in range(200) for host in rack.hosts]
        assert set(found) == {200} and state(rack, "answers")()
        assert answered(rack.hosts[0], SECRETS[0]) == 503
        three[node_of(first)].go_on()
        for host in rack.hosts:
            host.wait(lambda host=host: answered(host, SECRETS[0]) == 200)


def answered(host: Gateway, key: str) -> int:
    """The status of a request of a key's."""
    return ask(host.port, request(asked("m"), key=key)).status
