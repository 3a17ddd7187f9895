"""How control comes to Redis: slow and silent ways, sentinels of which one is dead, and a cluster that fails over."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from redis.crc import key_slot

from edge.control.fleet.masters import slot
from edge.net.names import Names
from tests.fleet.rack import Client, Rack, statuses
from tests.fleet.server import Server, free_port, until
from tests.fleet.test_outage import LIMIT, STALL, lines, state
from tests.fleet.test_topologies import cluster, sentinel
from tests.fleet.wire import Wire

assert cluster and sentinel     # fixtures


def test_slots_are_those_of_a_cluster() -> None:
    """A key's slot is what a client library finds, whatever braces and bytes it has."""
    rng = random.Random(5)
    keys = ["", "{}", "{}x", "x{y}z", "{a}{b}", "}{", "{x", "{{x}}", "{é}:y", "\0{\n}"]
    keys += ["".join(rng.choices("ab{}é\0", k=rng.randrange(12))) for _ in range(500)]
    assert [slot(key) for key in keys] == [key_slot(key.encode()) for key in keys]


def test_a_way_of_200_ms(server: Server) -> None:
    """Where each answer takes 200 ms hosts connect and share all the same, and no request waits for Redis."""
    with Wire(server.port) as wire, Rack(server, LIMIT, hosts=1, redis={"url": wire.url, "patience": 0.005}) as rack:
        wire.delay = 0.2
        wire.cut()
        rack.hosts[0].wait(lambda: wire.accepted > 1 and rack.hosts[0].metric("edge_redis_state", state="slow") == 1)
        found = rack.load(1.0, clients=1)
        assert set(statuses(found)) <= {200, 429} and max(took for _, _, took in found) < STALL
        assert len(lines(rack, "Redis does not answer")) <= 1
        wire.delay = 0.0
        rack.hosts[0].wait(state(rack, "answers"), 2)


def test_a_sentinel_is_silent(server: Server, sentinel: int) -> None:
    """A sentinel that says nothing, whichever it is of them, keeps nobody from the master."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"redis+sentinel://127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{sentinel}/mymaster"
        rack = stack.enter_context(Rack(server, LIMIT, hosts=1, redis={"url": url}))
        assert Client(rack.hosts[0]).ask()[0] in (200, 429)
        assert rack.hosts[0].metric("edge_redis_failures_total") == 0


@pytest.fixture
def pair(cluster: Server) -> Iterator[tuple[Server, Server]]:
    """A cluster's master, which has all slots, and its replica."""
    with Server("--cluster-enabled", "yes", "--cluster-port", str(free_port())) as replica:
        with cluster.client() as master, replica.client() as looked:
            looked.execute_command("CLUSTER", "MEET", "127.0.0.1", cluster.port,
                                   master.config_get("cluster-port")["cluster-port"])
            wanted = master.execute_command("CLUSTER", "MYID")
            until(lambda: wanted in looked.execute_command("CLUSTER", "NODES"))
            until(lambda: _replicates(looked, wanted))
            until(lambda: looked.info("replication").get("master_link_status") == "up")
        yield cluster, replica


def _replicates(looked: redis.Redis, master: str) -> bool:
    try:
        return bool(looked.execute_command("CLUSTER", "REPLICATE", master))
    except redis.ResponseError:     # not met yet
        return False


def test_a_cluster_fails_over(pair: tuple[Server, Server]) -> None:
    """A replica that takes over begins a new epoch, also for hosts that only hear that their slot has moved."""
    master, replica = pair
    url = f"redis+cluster://127.0.0.1:{master.port}"
    with Rack(master, {"requests_per_second": 0.01, "burst_size": 4}, hosts=2, redis={"url": url}) as rack:
        rack.rest(0)
        with replica.client() as looked:
            looked.execute_command("READONLY")
            keys = looked.keys("*:epoch")
            epochs = {key: looked.get(key) for key in keys}
            looked.execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
            assert len(keys) == 16
            rack.hosts[0].wait(lambda: all(looked.get(key) != epochs[key] for key in keys))
            run = looked.info("server")["run_id"]
            assert all(looked.get(key).split()[1] == run for key in keys)
        rack.hosts[0].wait(state(rack, "answers"))
        found = [Client(host).ask()[0] for host in rack.hosts]
        assert set(found) <= {200, 429}


class Resolver(asyncio.SelectorEventLoop):
    """An event loop whose names are asked of a test."""

    asked = 0
    silent: threading.Event | None = None

    async def getaddrinfo(self, host, port, **_):       # type: ignore[no-untyped-def, override]
        """One address, once it may say so."""
        self.asked += 1
        if self.silent is not None:
            await self.run_in_executor(None, self.silent.wait)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_a_resolver_is_silent() -> None:
    """Where a resolver hangs a name is asked for once at a time, and what it meant before goes on being used."""
    loop = Resolver()
    names = Names(loop)

    async def run() -> None:
        before = await names.resolve("redis.internal", 1)
        loop.silent = threading.Event()
        names.doubt()
        assert await asyncio.gather(*(names.resolve("redis.internal", 1) for _ in range(5))) == [before] * 5
        assert await names.resolve("redis.internal", 1) == before
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await names.resolve("never.seen", 1)
        assert loop.asked == 3
        loop.silent.set()
        assert await names.resolve("never.seen", 1) == before
        assert loop.asked == 3
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
