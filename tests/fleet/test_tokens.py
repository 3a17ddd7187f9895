"""Tokens of streams that end anywhere, also while Redis is away: a limit has what it had, less what they have used, to
the token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from edge.control.fleet import purse
from tests.fleet.server import Server
from tests.fleet.streams import Crowd, rested
from tests.fleet.test_limits import LEVEL, shared
from tests.support.talk import asked, request

RATE, FILLS = 4000, 60      # tokens a second, and seconds in which the limit is full
AGE = 31                    # seconds of the epoch: it is not full all the time, and what has come can be reckoned
STREAMS, AT_ONCE = 200, 20
SPENT = 400                 # tokens that a stream reserves, about
TRIALS = 4                  # of a machine that does other things too
EVENTS, LARGEST = 20, 12_000            # and bytes of an answer, about
IN_HEAD, BEHIND = 150, 1500     # bytes: a provider that ends between its head and an event has done nothing
LIMIT = "{edge:0}:limit:tokens@key:test"
ENDS = ("whole", "provider closes", "provider resets", "provider fails", "client closes", "client resets")


@dataclass(frozen=True, slots=True)
class Stream:
    """What is asked for, and how it ends: a client leaves behind so many bytes, or at once."""

    sent: bytes
    most: int               # tokens of the answer
    end: str
    after: int


def drawn(rng: random.Random, number: int) -> Stream:
    """One of them."""
    end, most = rng.choice(ENDS), rng.randint(20, 300)
    after = rng.choice([0, rng.randint(1, IN_HEAD), rng.randint(BEHIND, LARGEST)])
    if end.startswith("client"):
        after = rng.choice([0, rng.randint(1, BEHIND), rng.randint(BEHIND, LARGEST)])
    fault = {"provider closes": f";cut={after}", "provider resets": f";reset={after}",
             "provider fails": f";error-event={1 + after % EVENTS}"}.get(end, "")
    path, members = rng.choice([("/v1/messages", {}), ("/v1/chat/completions", {}), (
        "/v1/chat/completions", {"stream_options": {"include_usage": True}})])
    body = asked(text="x" * rng.randint(1, 400), stream=True, max_tokens=most, **members)
    return Stream(request(body, path=path, connection="close", x_request_id=str(number), x_simulate=(
        f"tokens={rng.randint(EVENTS, most)};delay={rng.choice([0, 1, 5])}{fault}")), most, end, after)


async def read(port: int, stream: Stream) -> None:
    """One client: to the end, or as far as it goes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(stream.sent)
    left = stream.after if stream.end.startswith("client") else 2**40
    with contextlib.suppress(ConnectionError):
        while left and (piece := await asyncio.wait_for(reader.read(min(4096, left)), 30)):
            left -= len(piece)
    if stream.end == "client resets":
        writer.transport.abort()
    writer.close()


async def run(crowd: Crowd, streams: list[Stream], rng: random.Random) -> None:
    """Some at once, on hosts that are drawn."""
    for first in range(0, len(streams), AT_ONCE):
        await asyncio.gather(*(read(rng.choice(crowd.hosts).port, each) for each in streams[first:first + AT_ONCE]))


def used(crowd: Crowd, lines: list[dict[str, Any]], streams: list[Stream]) -> int:
    """What the hosts have counted; and what was reserved for those that no provider has answered, which may have worked
    for them."""
    counted = sum(host.metric(f"edge_tokens{kind}_total", type=way) for host in crowd.hosts
                  for kind in ("", "_estimated") for way in ("input", "output"))
    lost = [line for line in lines if "sent_after" in line and not {"bytes_out", "input_tokens"} & line.keys()]
    return int(counted) + sum(line["bytes_in"] // 4 + streams[int(line["request_id"])].most for line in lost)


def missing(crowd: Crowd, looked: redis.Redis) -> int:
    """What the limit has less than has come, in Redis and at its hosts together, between two words of theirs."""
    while True:
        level = looked.eval(LEVEL, 1, LIMIT)
        held = sum(each["held"] for host in crowd.hosts for each in shared(host) if each["limit"] == LIMIT[15:])
        if level == looked.eval(LEVEL, 1, LIMIT):
            break
    credit, at, born, interval = map(int, level)
    missing, rest = divmod((at - born - purse.RECLAIM[0]) * 1000 - credit, interval)
    assert rest == 0
    return missing - held


def test_streams_that_end_anywhere(server: Server, tmp_path: Path) -> None:
    """Each is settled once, whoever ends it and where, by what its provider has told or by an estimate, also those that
    begin while Redis is away, and those of them that end when it is back."""
    for trial in range(TRIALS):
        if settled(server, tmp_path / f"{trial}.log"):
            return
        server.kill()
        server.start()
    pytest.fail("this machine has no time for Redis")


def settled(server: Server, log: Path) -> bool:
    """Whether Redis was away when we took it away, and not else: what a host has drawn and not used is lost then."""
    rng = random.Random(1)
    streams = [drawn(rng, number) for number in range(STREAMS)]
    with Crowd(server, {"tokens_per_minute": RATE * FILLS}, hosts=3, workers=1, access_log={"path": str(log)},
               circuit_breaker={"enabled": False}) as crowd, server.client() as looked:
        rested(server, AGE)
        asyncio.run(run(crowd, streams[:STREAMS // 2], rng))
        at_rest(crowd)
        before = outages(crowd)
        if not before:
            assert missing(crowd, looked) == used(crowd, lines_of(log, STREAMS // 2), streams)
        lost = asyncio.run(away(crowd, streams[STREAMS // 2:], rng))
        at_rest(crowd)
        found = missing(crowd, looked)
        lines = lines_of(log, STREAMS)
        if lost is None or before or outages(crowd) > len(crowd.hosts):
            return False
        # Never too little, and too much by no more than what was reserved when hosts lost Redis or found it again.
        assert 0 <= found - lost - used(crowd, lines, streams) <= SPENT * AT_ONCE
        assert sum(host.metric("edge_requests_degraded_total") for host in crowd.hosts) > STREAMS / 10
    assert {"ok", "client_closed", "provider_cut"} <= {line["condition"] for line in lines}
    assert sum("bytes_out" in line for line in lines) > STREAMS / 2
    return True


def lines_of(log: Path, count: int) -> list[dict[str, Any]]:
    """The access log, once it has so many lines."""
    end = time.monotonic() + 10
    while len(text := log.read_text().splitlines()) < count:
        assert time.monotonic() < end, text
        time.sleep(0.01)
    return [json.loads(line) for line in text]


def outages(crowd: Crowd) -> int:
    """How often hosts have missed Redis."""
    return sum(host.log().count("Redis does not answer") for host in crowd.hosts)


def at_rest(crowd: Crowd) -> None:
    """Waits until no host has a request, or anything that one may bring back."""
    for host in crowd.hosts:
        host.wait(lambda host=host: host.metric("edge_requests_in_flight") == 0)
        host.wait(lambda host=host: all(each["reserved"] == 0 for each in shared(host)))


async def away(crowd: Crowd, streams: list[Stream], rng: random.Random) -> int | None:
    """Redis is away until half of them have ended. How many units the hosts had drawn, which they lose by that; None:
    it was too late to see them."""
    half = len(streams) // 2
    crowd.server.stop()
    lost = await asyncio.to_thread(drawn_units, crowd)
    await run(crowd, streams[:half], rng)
    going = asyncio.create_task(run(crowd, streams[half:], rng))
    await asyncio.sleep(0.1)
    crowd.server.go_on()
    await going
    return lost


def drawn_units(crowd: Crowd) -> int | None:
    """What the hosts hold of the limit when Redis is away; and then it is void."""
    begun = time.monotonic()
    held = sum(each["held"] for host in crowd.hosts for each in shared(host) if each["limit"] == LIMIT[15:])
    late = time.monotonic() > begun + 0.5
    for host in crowd.hosts:
        host.wait(lambda host=host: not any(each["held"] for each in shared(host)))
    return None if late else held
