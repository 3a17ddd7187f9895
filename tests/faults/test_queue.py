"""When a provider has no room: who waits, for how long, in which order, and who is sent away."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack

import uvloop

from tests.faults.load import many_files
from tests.faults.pair import Pair, ask
from tests.support.gateway import KEY, Gateway
from tests.support.simulator import Simulator
from tests.support.talk import Talk, chat

NARROW = {"max_connections": 1}
MANY = 7000
KEYS = {"high": "sk-high-0123456789abcdef", "normal": KEY, "low": "sk-low-0123456789abcdef"}
ENVIRON = {f"KEY_{name.upper()}": key for name, key in KEYS.items()}
KEY_SECTION = [{"name": name, "key": f"env:KEY_{name.upper()}", "priority": name} for name in KEYS]


def waiting(edge: Gateway, count: int) -> bool:
    """Whether so many requests are in flight."""
    return edge.metric("edge_requests_in_flight") == count


def test_the_next_target_has_room(pair: Pair) -> None:
    """A request that finds a target's queue full goes to the next target."""
    edge = pair.edge(provider=NARROW, queue={"queue_size": 0})
    with Talk(edge.port) as busy:
        busy.send(chat(model="lone", fault="hang"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        found = ask(edge)
        assert (found.status_code, found.headers["x-edge-target"]) == (200, "second-openai/both")
        refused = ask(edge, "lone")
    assert (refused.status_code, refused.headers["x-edge-condition"]) == (503, "gateway_overloaded")
    assert "first-openai" in refused.json()["error"]["message"]
    assert (refused.headers["x-edge-blame"], refused.headers["retry-after"]) == ("edge", "1")


def test_nobody_waits_for_longer_than_said(pair: Pair) -> None:
    """A request that has waited for queue.timeout learns that there is no room, and its place is free again."""
    edge = pair.edge(provider=NARROW, queue={"timeout": 0.3})
    with Talk(edge.port) as busy:
        busy.send(chat(model="lone", fault="hang"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        began = time.monotonic()
        found = ask(edge, "lone")
        assert 0.3 <= time.monotonic() - began < 1
    assert (found.status_code, found.headers["x-edge-condition"]) == (503, "gateway_overloaded")
    edge.wait(lambda: waiting(edge, 0))
    assert ask(edge, "lone").status_code == 200


def test_who_comes_first(pair: Pair) -> None:
    """Of those who wait a key of high priority is served first and one of low priority last."""
    edge = pair.edge(provider=NARROW, keys=KEY_SECTION, environ=ENVIRON)
    with ExitStack() as stack:
        busy = stack.enter_context(Talk(edge.port))
        busy.send(chat(model="lone", fault="latency=1000", text="text-busy"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        talks = []
        for count, name in enumerate(("low", "normal", "high"), 2):
            talk = stack.enter_context(Talk(edge.port))
            talk.send(chat(model="lone", text=f"text-{name}", authorization=f"Bearer {KEYS[name]}"))
            edge.wait(lambda count=count: waiting(edge, count))
            talks.append(talk)
        for talk in (busy, *talks):
            assert talk.answer().status == 200
    order = [name for each in pair.first.requests() for name in KEYS if f"text-{name}" in each["body"]]
    assert order == ["high", "normal", "low"]


def test_the_last_of_the_lowest_gives_way(pair: Pair) -> None:
    """In a full queue a request of higher priority takes the place of one of lower priority."""
    edge = pair.edge(provider=NARROW, queue={"queue_size": 1}, keys=KEY_SECTION, environ=ENVIRON)
    with ExitStack() as stack:
        busy, low, high = (stack.enter_context(Talk(edge.port)) for _ in range(3))
        busy.send(chat(model="lone", fault="latency=700"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        low.send(chat(model="lone", authorization=f"Bearer {KEYS['low']}"))
        edge.wait(lambda: waiting(edge, 2))
        high.send(chat(model="lone", authorization=f"Bearer {KEYS['high']}"))
        assert low.answer().status == 503
        assert high.answer().status == 200
        assert busy.answer().status == 200


def test_a_slow_provider_gets_less() -> None:
    """A provider that answers later the more it has to do is given about as much as it manages, and no more."""
    with Simulator(capacity=16, latency=40) as provider, Pair(provider, provider) as pair:
        edge = pair.edge()
        with ExitStack() as stack:
            talks = [stack.enter_context(Talk(edge.port)) for _ in range(160)]
            for talk in talks[:12]:                     # its usual pace
                for _ in range(5):
                    talk.send(chat(model="lone"))
                    assert talk.answer().status == 200
            for _ in range(8):
                for talk in talks:
                    talk.send(chat(model="lone"))
                statuses = [talk.answer().status for talk in talks]
        assert set(statuses) == {200, 503}
        assert 8 <= statuses.count(200) <= 80
        assert edge.metric("edge_requests_total", condition="gateway_overloaded") > 100
        assert any("fewer requests" in line["message"] for line in edge.log_lines())


def test_thousands_are_late_at_once(pair: Pair) -> None:
    """However many have waited for too long, and may turn to another target of the same provider, each is answered."""
    many_files()
    edge = pair.edge(provider=NARROW, models={"twice": ["first-openai/a", "first-openai/b"]},
                     limits={"address_connections": 0}, retry={"budget": 1}, queue={"queue_size": MANY, "timeout": 2})

    async def late() -> Counter[bytes]:
        lines = [await asyncio.open_connection("127.0.0.1", edge.port) for _ in range(MANY)]
        for _, writer in lines:
            writer.write(chat(model="twice"))
        await asyncio.to_thread(edge.wait, lambda: waiting(edge, MANY + 1))
        os.kill(worker, signal.SIGSTOP)
        await asyncio.sleep(2)              # now all of them are late
        os.kill(worker, signal.SIGCONT)
        heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in lines]
        for _, writer in lines:
            writer.transport.abort()
        return Counter(head.split(b"\r\n")[0] for head in heads)

    with Talk(edge.port) as busy:
        busy.send(chat(model="twice", fault="hang"))
        pair.first.wait_for(lambda state: state["requests"] == 1)
        worker = edge.children()[1]
        assert uvloop.run(late()) == {b"HTTP/1.1 503 Service Unavailable": MANY}
    assert edge.metric("edge_worker_restarts_total") == 0
    assert edge.children()[1] == worker
