"""Limits of concurrent requests are exact over all workers: never one more at once, and each place comes back once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, chat, in_contract

SECONDS = 1.5
PLACES = 5
OWNERS = {"key": "concurrency_limited", "model": "model_concurrency_limited", "gateway": "global_concurrency_limited"}
STREAM = "tokens=6;delay=2"
# What a client asks for; the simulator's faults are met at each attempt, and the second provider is the same simulator.
GOOD = [chat(fault="latency=3"), chat(stream=True, fault=STREAM), chat(text="x" * 20000)]
BAD = [chat(fault="status=500"), chat(fault="cut=0"), chat(fault="malformed=json"), chat(stream=True, fault="cut=900"),
       chat(stream=True, fault="error-event=2"), chat(fault="status=400"), chat(fault="reset=100"), chat("nobody")]


def settings(url: str, owner: str, limit: dict[str, Any] | None = None) -> dict[str, Any]:
    """Two workers, two providers and a limit, of PLACES unless it is another."""
    limit = {"concurrent_requests": PLACES} if limit is None else limit
    provider = {"kind": "openai", "base_url": f"{url}/v1", "key": "env:PROVIDER_KEY"}
    config = configuration(
        url, workers=2, rate_limit={"requests_per_second": 0}, providers={"first": provider, "second": provider},
        models={"gpt-4o": ["first", "second"]}, retry={"max": 2, "backoff": 0.01, "budget": 1},
        circuit_breaker={"enabled": False})
    if owner == "key":
        config["keys"][0]["rate_limit"] = limit
    elif owner == "model":
        config["model_limits"] = {"gpt-4o": limit} if limit else {}
    else:
        config["rate_limit"] |= limit
    return config


@pytest.fixture
def limited(simulator: Simulator) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of `settings`."""
    with contextlib.ExitStack() as stack:
        yield lambda owner, limit=None: stack.enter_context(Gateway(settings(simulator.url, owner, limit)))


def left(edge: Gateway) -> int:
    """Places that are free."""
    found = httpx.get(f"{edge.admin}/stats").json()["concurrent_requests"]
    return int(next(iter(found.values()))["left"])


async def client(edge: Gateway, wanted: list[bytes], until: float, leaves: float, statuses: list[bytes]) -> None:
    """One request after the other on one connection or a new one; some are left at some byte of their answer."""
    rng = random.Random(len(statuses))
    writer: asyncio.StreamWriter | None = None
    while time.monotonic() < until:
        with contextlib.suppress(OSError, EOFError):
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            writer.write(rng.choice(wanted))
            if rng.random() < leaves:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(rng.randrange(1, 2000)), rng.uniform(0, 0.01))
                writer.transport.abort()
                writer = None
                continue
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            statuses.append(head[9:12])
            length = head.partition(b"content-length: ")[2].partition(b"\r")[0]
            await (reader.readexactly(int(length)) if length else reader.readuntil(b"0\r\n\r\n"))
            if head[9:12] == b"429":
                await asyncio.sleep(0.002)      # leaves the processor to the gateway
            if rng.random() < 0.2 or b"connection: close" in head:
                writer.transport.abort()
                writer = None
            continue
        writer = None
    if writer is not None:
        writer.transport.abort()


async def rush(edge: Gateway, wanted: list[bytes], *, leaves: float = 0.0, seconds: float = SECONDS) -> list[bytes]:
    """Many clients at once; the statuses that they got."""
    statuses: list[bytes] = []
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(edge, wanted, until, leaves, statuses) for _ in range(24)))
    return statuses


@pytest.mark.parametrize("owner", OWNERS)
async def test_never_more_at_once(limited: Callable[..., Gateway], simulator: Simulator, owner: str) -> None:
    """However many ask at two workers, the provider never has more at once than there are places, and has so many."""
    edge = limited(owner)
    statuses = await rush(edge, GOOD)
    assert simulator.state(0)["peak"] == PLACES
    assert set(statuses) == {b"200", b"429"} and statuses.count(b"429") > 50 < statuses.count(b"200")
    edge.wait(lambda: left(edge) == PLACES)
    assert edge.metric("edge_limiter_decisions_total", decision=f"refused_{owner}") == statuses.count(b"429")
    assert all(worker["admitted"] for worker in httpx.get(f"{edge.admin}/stats").json()["workers"])


@pytest.mark.parametrize("owner", OWNERS)
async def test_all_ends_give_back(limited: Callable[..., Gateway], simulator: Simulator, owner: str) -> None:
    """Failures, further attempts, fallbacks, cut streams and clients that leave: one place each, back once."""
    edge = limited(owner)
    await rush(edge, GOOD + BAD)                        # (of attempts given up the simulator hears a moment later)
    edge.wait(lambda: left(edge) == PLACES)
    assert edge.metric("edge_retries_total") > 0
    await rush(edge, GOOD + BAD, leaves=0.3)            # (as of these)
    edge.wait(lambda: left(edge) == PLACES)
    simulator.reset()
    await rush(edge, GOOD, seconds=0.5)
    assert simulator.state(0)["peak"] == PLACES         # none has come back twice, and none is missing


@pytest.mark.parametrize("data", [chat(), chat(stream=True, fault="tokens=2"), chat(fault="status=400")],
                         ids=["plain", "stream", "rejected"])
def test_one_after_the_other(limited: Callable[..., Gateway], data: bytes) -> None:
    """A client that asks again as soon as it has all of an answer is never refused, at whichever worker it asks."""
    edge = limited("key", {"concurrent_requests": 1})
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(Talk(edge.port)) for _ in range(8)]
        statuses = {talk.send(data).answer().status for _ in range(100) for talk in talks}
    assert 429 not in statuses


async def test_killed_workers_give_back(limited: Callable[..., Gateway], simulator: Simulator) -> None:
    """What a worker held that is killed under load is free when it is replaced, and nothing more."""
    edge = limited("gateway")
    for _ in range(4):
        storm = asyncio.create_task(rush(edge, GOOD, seconds=0.6))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(os.kill, edge.children()[1], signal.SIGKILL)
        await storm
        edge.wait(lambda: len(edge.children()) == 3 and left(edge) == PLACES)
    simulator.reset()
    await rush(edge, GOOD, seconds=0.5)
    assert simulator.state(0)["peak"] == PLACES


def hold(edge: Gateway, count: int, stack: contextlib.ExitStack) -> list[Talk]:
    """Streams that hold places until they are closed."""
    talks = [stack.enter_context(Talk(edge.port)) for _ in range(count)]
    for talk in talks:
        talk.send(chat(stream=True, fault="tokens=9;stall=1"))
        assert talk.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
    return talks


@pytest.mark.parametrize("owner", OWNERS)
def test_a_dead_workers_streams(limited: Callable[..., Gateway], owner: str) -> None:
    """Places of streams that a worker held are taken again as soon as it has been replaced; the others' are not."""
    edge = limited(owner)
    with contextlib.ExitStack() as stack:
        talks = hold(edge, PLACES, stack)
        in_contract(ask(edge.port, chat()), OWNERS[owner])
        flying = [worker["in_flight"] for worker in httpx.get(f"{edge.admin}/stats").json()["workers"]]
        assert sum(flying) == PLACES
        os.kill(edge.children()[1], signal.SIGKILL)
        edge.wait(lambda: edge.metric("edge_worker_restarts_total") == 1 and len(edge.children()) == 3)
        edge.wait(lambda: left(edge) == flying[0])
        hold(edge, flying[0], stack)
        in_contract(ask(edge.port, chat()), OWNERS[owner])
        for talk in talks:
            talk.socket.close()
    edge.wait(lambda: left(edge) == PLACES)


@pytest.mark.parametrize("owner", OWNERS)
def test_reloads(limited: Callable[..., Gateway], simulator: Simulator, owner: str) -> None:
    """More places are there at once; with fewer, those that are held count until they are given back."""
    edge = limited(owner)

    def reload(limit: dict[str, Any]) -> None:
        assert edge.reload(settings(simulator.url, owner, limit)).status_code == 200
    with contextlib.ExitStack() as stack:
        talks = hold(edge, PLACES, stack)
        reload({"concurrent_requests": PLACES + 1})
        talks += hold(edge, 1, stack)
        in_contract(ask(edge.port, chat()), OWNERS[owner])
        reload({"concurrent_requests": 2})
        for closed in range(1, PLACES):
            talks.pop().socket.close()
            edge.wait(lambda closed=closed: edge.metric("edge_requests_in_flight") == PLACES + 1 - closed)
            in_contract(ask(edge.port, chat()), OWNERS[owner])
        talks.pop().socket.close()
        edge.wait(lambda: left(edge) == 1)
        assert ask(edge.port, chat()).status == 200
        reload({"requests_per_second": 1000})
        for _ in range(2 * PLACES):
            assert ask(edge.port, chat()).status == 200
        hold(edge, PLACES, stack)
    edge.wait(lambda: edge.metric("edge_requests_in_flight") == 0)
    reload({"concurrent_requests": 1})
    assert left(edge) == 1
    assert ask(edge.port, chat()).status == 200


def test_a_key_that_has_gone(limited: Callable[..., Gateway], simulator: Simulator) -> None:
    """A stream gives its place back though its key is gone, and nobody who comes after has less or more for it."""
    edge, base = limited("key"), settings(simulator.url, "key")
    other = {"name": "other", "key": "sk-other-0123456789abcdef", "rate_limit": {"concurrent_requests": 2}}
    with contextlib.ExitStack() as stack:
        hold(edge, PLACES, stack)
        assert edge.reload({**base, "keys": [other]}).status_code == 200
        assert ask(edge.port, chat()).status == 401
        assert left(edge) == 2
        assert edge.reload(base).status_code == 200
        in_contract(ask(edge.port, chat()), "concurrency_limited")
        assert edge.reload({**base, "keys": [other]}).status_code == 200
    edge.wait(lambda: edge.metric("edge_requests_in_flight") == 0)
    assert left(edge) == 2
    assert edge.reload(base).status_code == 200
    assert left(edge) == PLACES


def test_a_gateway_that_drains(limited: Callable[..., Gateway]) -> None:
    """Requests of a worker that drains hold their places to their end, and count with those of its successor."""
    edge = limited("gateway")
    with contextlib.ExitStack() as stack:
        hold(edge, 2, stack)
        before = set(edge.children())
        edge.process.send_signal(signal.SIGUSR2)
        edge.wait(lambda: "serves in the place of the version before" in edge.log(), 30)
        assert len(before & set(edge.children())) >= 2      # workers of the version before, with their streams
        assert left(edge) == PLACES - 2
        hold(edge, PLACES - 2, stack)
        in_contract(ask(edge.port, chat()), "global_concurrency_limited")
    edge.wait(lambda: left(edge) == PLACES)
    edge.wait(lambda: "upgrade complete" in edge.log())
