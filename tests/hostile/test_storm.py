"""Two hundred connections of good and bad traffic at once, and a worker killed in the midst of it; twice over."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostile.test_framing import BAD_BODIES, CHUNKED, MALFORMED, NO_HTTP, post
from tests.support.gateway import Gateway, configuration
from tests.support.looks import at_rest, faults, resident, worker_of
from tests.support.simulator import Simulator
from tests.support.talk import Talk, asked, chat, request

WORKERS = 3
CONNECTIONS = 200
SECONDS = 2.5

# What is sent, and the statuses it may have. None: the client leaves without waiting for one.
GOOD: list[tuple[bytes, set[int] | None]] = [
    (chat(), {200}), (chat(stream=True), {200}), (request(asked(max_tokens=9), path="/v1/messages"), {200}),
    (chat(text="t" * 40_000), {200}), (request(method="GET", path="/v1/models"), {200}),
    (request(method="GET", path="/health", key=None), {200}), (chat(fault="latency=30"), {200}),
    (chat(stream=True, fault="tokens=200"), {200})]
BAD: list[tuple[bytes, set[int] | None]] = [
    *((data, {400}) for _, data in (NO_HTTP + MALFORMED)[:30]),
    *((post(CHUNKED, body), {400}) for _, body in BAD_BODIES),
    (request(b"{"), {400}), (request(asked(), key="sk-nobody"), {401}), (request({"model": 5}), {400}),
    (post(b"content-length: 3000000000\r\n", b""), {413}), (request(method="GET", path="/nowhere"), {404}),
    (chat(fault="cut=300"), {502}), (chat(fault="malformed=head"), {502}), (chat(fault="reset=0"), {502}),
    (chat(fault="status=503"), {503}), (chat(fault="malformed=json", stream=False), {502}),
    (chat(fault="hang"), None), (chat()[:-5], None), (chat(stream=True, fault="drip=5,5"), None), (chat()[:30], None)]


@pytest.fixture(scope="module")
def crowd(simulator: Simulator) -> Iterator[Gateway]:
    """Three workers, short times."""
    with Gateway(configuration(simulator.url, workers=WORKERS, timeout=1.0, limits={"head_timeout": 1})) as running:
        yield running


async def client(edge: Gateway, seed: int, until: float, seen: Counter[str]) -> None:
    """Good and bad requests in turn; notes what it was not to see."""
    chance = random.Random(seed)
    while asyncio.get_running_loop().time() < until:
        data, allowed = chance.choice(GOOD if chance.random() < 0.6 else BAD)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
            writer.write(data)
            if allowed is None:
                await asyncio.sleep(chance.random() * 0.05)
            else:
                status = int((await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))[9:12])
                seen["good" if status in allowed else f"{status} for {data[:60]!r}"] += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            seen["lost"] += 1
        finally:
            writer.transport.abort()


async def canary(talk: Talk, until: float, failures: list[str]) -> None:
    """Asks on one kept connection all the time, ten times at least."""
    reader, writer = await asyncio.open_connection(sock=talk.socket)
    served = 0
    try:
        while asyncio.get_running_loop().time() < until or served < 10:
            writer.write(chat("canary"))
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200 "):
                failures.append(head.decode())
            served += 1
            await asyncio.sleep(0.01)
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError) as error:
        failures.append(repr(error))
    finally:
        writer.transport.abort()


async def storm(edge: Gateway, victim: int) -> Counter[str]:
    """One round: all clients at once, the victim killed half-way; canaries of the other workers must not notice."""
    canaries = [Talk(edge.port) for _ in range(12)]
    edge.wait(lambda: all(talk.send(chat()).answer().status == 200 for talk in canaries))
    failures: dict[Talk, list[str]] = {talk: [] for talk in canaries if worker_of(edge, talk) != victim}
    assert failures
    until = asyncio.get_running_loop().time() + SECONDS
    seen: Counter[str] = Counter()
    tasks = [asyncio.create_task(client(edge, seed, until, seen)) for seed in range(CONNECTIONS)]
    tasks += [asyncio.create_task(canary(talk, until, found)) for talk, found in failures.items()]
    await asyncio.sleep(SECONDS / 2)
    os.kill(victim, signal.SIGKILL)
    await asyncio.gather(*tasks)
    for talk in canaries:
        talk.socket.close()
    assert [found for found in failures.values() if found] == []
    return seen


@pytest.mark.unsanitized
@pytest.mark.parametrize("which", range(2))
async def test_storm(crowd: Gateway, which: int) -> None:
    """In a storm, with a worker killed, everybody gets what is due, and afterwards everything is at rest."""
    before = crowd.children()
    victim = before[1 + which]
    seen = await storm(crowd, victim)
    # Who was connected to the victim lost that connection; nobody else lost anything.
    assert seen.pop("lost", 0) <= CONNECTIONS
    assert seen.pop("good") > 100               # so that it was one, on a slow machine too
    assert not seen
    crowd.wait(lambda: len(crowd.children()) == 1 + WORKERS)
    at_rest(crowd)
    assert set(before) - {victim} <= set(crowd.children())
    assert faults(crowd) == []
    assert crowd.metric("edge_requests_total", condition="internal_error") == 0
    assert crowd.metric("edge_connections", side="downstream") == 0
    assert crowd.metric("edge_requests_in_flight") == 0


@pytest.mark.unsanitized
async def test_memory_after_storms(crowd: Gateway) -> None:
    """A worker that has been through a storm does not grow in the next."""
    worker = crowd.children()[1]
    sizes = []
    for _ in range(2):
        until = asyncio.get_running_loop().time() + 1.0
        seen: Counter[str] = Counter()
        await asyncio.gather(*(client(crowd, seed, until, seen) for seed in range(CONNECTIONS)))
        assert set(seen) == {"good"}, seen
        at_rest(crowd)
        sizes.append(resident(worker))
    assert sizes[1] - sizes[0] < 2_000_000
