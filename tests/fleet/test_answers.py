"""What comes in place of Redis's answers, and those who pause beside others that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.fleet.rack import Client, Rack
from tests.fleet.server import Server
from tests.fleet.test_outage import lines


@pytest.fixture(scope="module")
def alone() -> Iterator[tuple[Rack, Server]]:
    """A host for all of them."""
    with Server() as server, Rack(server, {"requests_per_second": 1}, hosts=1) as rack:
        yield rack, server


@pytest.fixture
def rack(alone: tuple[Rack, Server]) -> Iterator[Rack]:
    """The host."""
    yield alone[0]
    alone[1].mend()
    alone[0].upstream.status = 200


@pytest.fixture
def server(alone: tuple[Rack, Server]) -> Server:
    """Its Redis."""
    return alone[1]


def test_a_pause_is_not_cut_short(rack: Rack, server: Server) -> None:
    """Requests that wait for their limits do not wake others, which wait before a further attempt."""
    rack.use({"requests_per_second": 0.5, "burst_size": 3}, 5, retry={"max": 1, "backoff": 1.0})
    rack.upstream.status = 503
    took: list[float] = []
    waiting = threading.Thread(target=lambda: took.append(Client(rack.hosts[0]).ask()[2]))
    waiting.start()
    rack.hosts[0].wait(lambda: rack.upstream.asked)
    server.stop()
    Client(rack.hosts[0]).ask()
    server.go_on()
    waiting.join()
    assert took[0] >= 0.5


@contextlib.contextmanager
def talker(port: int, words: bytes) -> Iterator[None]:
    """Somebody at Redis's place that answers every command with the same words, while the `with` block runs."""
    loop = asyncio.new_event_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(words * sum(line[:1] == b"*" for line in data.split(b"\r\n")))
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("words", [
    b":1\r\n", b"$-1\r\n", b"*0\r\n", b"*2\r\n:1\r\n*-1\r\n", b"*3\r\n$1\r\nx\r\n$1\r\ny\r\n*1\r\n:1\r\n", b"+OK\r\n",
    b"-LOADING in memory\r\n", b"-MASTERDOWN link\r\n", b"-OOM command\r\n", b"-READONLY replica\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\xff\r\n", b"*-7\r\n", b"$99999999999999999999\r\n"])
def test_who_is_no_redis_is_not_believed(rack: Rack, server: Server, words: bytes) -> None:
    """Whatever comes in place of an answer is an outage, and that is over when Redis is there."""
    rack.use({"requests_per_second": 100, "burst_size": 10}, 1)
    [host], before = rack.hosts, rack.hosts[0].metric("edge_redis_failures_total")
    server.kill()
    with talker(server.port, words):
        host.wait(lambda: host.metric("edge_redis_failures_total") > before + 2)
        assert Client(host).ask()[0] == 200
        assert not lines(rack, "Redis answers")
    server.start()
    host.wait(lambda: host.metric("edge_redis_state", state="answers") == 1)
    assert Client(host).ask()[0] in (200, 429)      # an epoch begins with a rest


def test_a_lease_that_is_none(rack: Rack, server: Server) -> None:
    """What is no host's lease behind a level is thrown away, and no limit fails for it."""
    rack.use({"requests_per_second": 0.5, "burst_size": 4}, 8)
    client, key = Client(rack.hosts[0]), f"{{edge:0}}:limit:key:{rack.name}"
    assert client.ask()[0] == 200
    with server.client() as looked:
        assert looked.exists(key)
        looked.append(key, "-1 what")
    assert [client.ask()[0] for _ in range(4)] == [200, 200, 200, 429]
    assert not lines(rack, "limits cannot be shared")
    with server.client() as looked:
        assert looked.eval("return string.find(redis.call('GET', KEYS[1]), '-1 what', 1, true)", 1, key) is None
