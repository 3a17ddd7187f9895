"""What comes in place of Redis's answers, and those who pause beside others that wait for them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.fleet.rack import Client, Rack, configuration
from tests.fleet.server import Server
from tests.fleet.test_outage import lines
from tests.fleet.upstream import Upstream
from tests.support.gateway import Gateway


def test_a_pause_is_not_cut_short(server: Server) -> None:
    """Requests that wait for their limits do not wake others, which wait before a further attempt."""
    limit = {"requests_per_second": 0.5, "burst_size": 3}
    changes = {"retry": {"max": 1, "backoff": 1.0}}
    with Rack(server, limit, hosts=1, **changes) as rack:
        rack.rest(5)
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
def test_who_is_no_redis_is_not_believed(server: Server, words: bytes) -> None:
    """Whatever comes in place of an answer is an outage, and that is over when Redis is there."""
    server.kill()
    with Upstream() as upstream, Gateway(configuration(
            upstream, server.url, {"requests_per_second": 100, "burst_size": 10})) as host:
        with talker(server.port, words):
            host.wait(lambda: host.metric("edge_redis_failures_total") > 2)
            assert Client(host).ask()[0] == 200
            assert not [line for line in host.log_lines() if line["message"] == "Redis answers"]
        server.start()
        host.wait(lambda: host.metric("edge_redis_state", state="answers") == 1)
        assert Client(host).ask()[0] in (200, 429)      # an epoch begins with a rest


def test_a_lease_that_is_none(server: Server) -> None:
    """What is no host's lease behind a level is thrown away, and no limit fails for it."""
    with Rack(server, {"requests_per_second": 0.5, "burst_size": 4}, hosts=1) as rack:
        rack.rest(8)
        client = Client(rack.hosts[0])
        assert client.ask()[0] == 200
        with server.client() as looked:
            [key] = looked.keys("{edge:0}:limit:*")
            looked.append(key, "-1 what")
        assert [client.ask()[0] for _ in range(4)] == [200, 200, 200, 429]
        assert not lines(rack, "limits cannot be shared")
        with server.client() as looked:
            assert looked.eval("return string.find(redis.call('GET', KEYS[1]), '-1 what', 1, true)", 1, key) is None
