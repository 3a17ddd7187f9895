"""Limits are exact over all workers: no more than burst + rate x time, hardly less; several are taken all or none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import ask, asked, chat, in_contract, request

SECONDS = 1.0
OTHER = "sk-other-0123456789abcdef"


class Count:
    """When requests were sent and answered, and how."""

    def __init__(self) -> None:
        self.admitted = self.refused = 0
        self.first_sent = self.first_answered = 0.0
        self.last_sent = self.last_answered = 0.0


async def hammer(edge: Gateway, count: Count, until: float) -> None:
    """One connection that asks as fast as it can."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    data = chat(text="x")
    while (now := time.monotonic()) < until:
        count.first_sent = count.first_sent or now
        count.last_sent = now
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        count.last_answered = time.monotonic()
        count.first_answered = count.first_answered or count.last_answered
        assert head[9:12] in (b"200", b"429"), head
        count.admitted += head[9:12] == b"200"
        count.refused += head[9:12] == b"429"
        if head[9:12] == b"429":
            await asyncio.sleep(0.002)          # leaves the processor to the gateway
    writer.transport.abort()


async def hammered(edge: Gateway, connections: int) -> Count:
    """Many connections at once."""
    count = Count()
    until = time.monotonic() + SECONDS
    await asyncio.gather(*(hammer(edge, count, until) for _ in range(connections)))
    return count


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("whose", ["gateway", "key"])
async def test_exact_over_all_workers(simulator: Simulator, workers: int, whose: str) -> None:
    """What many connections to several workers get through together is burst + rate x time, to one request."""
    rate, burst = 150.0, 60
    limit = {"requests_per_second": rate, "burst_size": burst}
    config = configuration(simulator.url, workers=workers)
    if whose == "gateway":
        config["rate_limit"] = limit
    else:
        config["keys"][0]["rate_limit"] = limit
    with Gateway(config) as edge:
        count = await hammered(edge, 48)
        assert count.refused > 100
        assert count.admitted <= burst + rate * (count.last_answered - count.first_sent)
        # Nobody asked in the last pauses: what grew in them may not have been taken.
        assert count.admitted >= burst + rate * (count.last_sent - 0.02 - count.first_answered) - 1
        decisions = {name: edge.metric("edge_limiter_decisions_total", decision=name)
                     for name in ("admitted", "refused_key", "refused_gateway")}
        assert decisions == {"admitted": count.admitted, "refused_key": count.refused if whose == "key" else 0,
                             "refused_gateway": count.refused if whose == "gateway" else 0}
        busy = [worker["admitted"] for worker in httpx.get(f"{edge.admin}/stats").json()["workers"]]
        assert len(busy) == workers and sum(amount > 0 for amount in busy) >= 2


async def stream_tokens(edge: Gateway, until: float) -> tuple[int, int]:
    """One connection that asks for a hundred tokens as often as it can: the tokens that it was told, the refusals."""
    used = refused = 0
    data = request(asked("gpt-4o", "x", max_tokens=100), x_simulate="tokens=100")
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(data)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):     # of a worker that was killed
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            body = json.loads(await reader.readexactly(length))
            used += body["usage"]["total_tokens"] if head[9:12] == b"200" else 0
            refused += head[9:12] == b"429"
        writer.transport.abort()
        await asyncio.sleep(0.001)
    return used, refused


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("whose", ["gateway", "key", "model"])
async def test_tokens_over_all_workers(simulator: Simulator, whose: str, dies: bool) -> None:
    """What many connections use together is the tokens of a minute and of the time, however many workers reserve and
    settle, and also where one of them is killed."""
    units = 12_000
    limit = {"tokens_per_minute": units}
    config = configuration(simulator.url, workers=2, rate_limit={"requests_per_second": 0}, models={"*": "openai"})
    if whose == "key":
        config["keys"][0]["rate_limit"] = limit
    elif whose == "model":
        config["model_limits"] = {"*": limit}
    else:
        config["rate_limit"] |= limit
    with Gateway(config) as edge:
        begun = time.monotonic()
        tasks = [asyncio.create_task(stream_tokens(edge, begun + 3 * SECONDS)) for _ in range(24)]
        if dies:
            await asyncio.sleep(SECONDS)
            os.kill(edge.children()[1], signal.SIGKILL)
        used, refused = map(sum, zip(*await asyncio.gather(*tasks), strict=True))
        most = units + units / 60 * (time.monotonic() - begun)
        assert refused > 100
        assert used <= most
        lost = 24 * 130 if dies else 0              # reservations of those who were on their way there
        assert used >= most - lost - 200 - units / 60


def slow(burst: int) -> dict[str, Any]:
    """A limit that hardly refills: one request in 50 s."""
    return {"requests_per_second": 0.02, "burst_size": burst}


@pytest.fixture
def edge(simulator: Simulator, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Two keys with limits of their own under the gateway's; (gateway, key, other key) by the test's parameter."""
    whole, one, other = request.param
    keys = [{"name": "test", "key": "env:TEST_KEY", "rate_limit": slow(one)},
            {"name": "other", "key": "env:OTHER_KEY", "rate_limit": slow(other)}]
    config = configuration(simulator.url, workers=2, rate_limit=slow(whole), keys=keys)
    with Gateway(config, environ={"OTHER_KEY": OTHER}) as running:
        yield running


def left(edge: Gateway) -> tuple[int, int, int]:
    """What the gateway and both keys have left."""
    found = httpx.get(f"{edge.admin}/stats").json()
    return found["limit"]["left"], found["keys"]["test"]["left"], found["keys"]["other"]["left"]


@pytest.mark.parametrize("edge", [(3, 10, 10)], indirect=True)
def test_refused_by_the_gateway_costs_the_key_nothing(edge: Gateway) -> None:
    """A request that the gateway's limit refuses takes nothing from the key's."""
    assert [ask(edge.port, chat()).status for _ in range(8)] == [200] * 3 + [429] * 5
    assert left(edge) == (0, 7, 10)
    answer = in_contract(ask(edge.port, chat(key=OTHER)), "global_rate_limited")
    assert answer.header("x-ratelimit-limit") == "3" and answer.header("x-ratelimit-remaining") == "0"


@pytest.mark.parametrize("edge", [(10, 2, 5)], indirect=True)
def test_refused_by_the_key_costs_the_gateway_nothing(edge: Gateway) -> None:
    """A request that the key's limit refuses takes nothing from the gateway's, nor from another key's."""
    assert [ask(edge.port, chat()).status for _ in range(6)] == [200] * 2 + [429] * 4
    assert left(edge) == (8, 0, 5)
    answer = in_contract(ask(edge.port, chat()), "rate_limited")
    assert answer.header("x-ratelimit-limit") == "2"
    assert ask(edge.port, chat(key=OTHER)).status == 200
    assert left(edge) == (7, 0, 4)


@pytest.mark.parametrize("edge", [(100, 1, 5)], indirect=True)
def test_time_until_it_can_succeed(edge: Gateway) -> None:
    """Retry-After is the true time, in the header, in milliseconds and in the words; Reset is a Unix time."""
    assert ask(edge.port, chat()).status == 200
    answer = in_contract(ask(edge.port, chat()), "rate_limited")
    assert 45 <= int(answer.header("retry-after") or 0) <= 50
    assert 45_000 <= int(answer.header("retry-after-ms") or 0) <= 50_000
    assert f"{answer.header('retry-after')}s" in answer.json["error"]["message"]
    assert 45 <= int(answer.header("x-ratelimit-reset") or 0) - time.time() <= 51
    assert answer.header("x-should-retry") == "true"


@pytest.mark.parametrize("edge", [(100, 4, 5)], indirect=True)
def test_refusals_before_the_limit_cost_nothing(edge: Gateway) -> None:
    """What is refused before a provider is asked takes nothing from a limit; what failed there is spent."""
    for data in (chat(key="sk-nobody"), chat().replace(b'"messages"', b'"message_"'), chat().replace(b"{", b"[", 1)):
        assert ask(edge.port, data).status in (400, 401)
    assert left(edge) == (100, 4, 5)
    assert ask(edge.port, chat(fault="status=500")).status == 502
    assert left(edge)[1] == 3


@pytest.mark.parametrize("edge", [(100, 5, 5)], indirect=True)
def test_a_killed_worker_gives_nothing_back(edge: Gateway) -> None:
    """What was admitted stays spent when workers die: a crash mints nothing."""
    assert [ask(edge.port, chat()).status for _ in range(5)] == [200] * 5
    for pid in edge.children()[1:]:
        os.kill(pid, signal.SIGKILL)
    assert ask(edge.port, chat()).status == 429
    assert left(edge) == (95, 0, 5)
