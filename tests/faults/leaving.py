"""What a client that leaves costs: how soon its upstream request is cancelled, and whether all it held comes back.

`python -m tests.faults.leaving --times 500` lets that many clients leave before the head, in the middle of a stream,
in the queue and with an answer that they do not read. The provider's line has room for one request, so that the next
client is served only when the one before gave everything back. Exit code 1: a promise was broken.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx2 as httpx

from tests.faults.load import percentile, progress, table, verdict
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Talk, ask, asked, chat, request

CANCELLED = 0.1             # seconds, at the 99th percentile
SMALL = 4096                # bytes that the kernel receives for a client that does not read
BIG = 20_000_000            # bytes of the answer that is not read


@dataclass
class Left:
    """Clients that left at one point: seconds until the provider saw it, and until nothing was in flight any more."""

    point: str
    cancelled: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)


class Stage:
    """A provider, and a gateway with one connection to it for each dialect."""

    def __init__(self, stack: ExitStack) -> None:
        self.simulator = stack.enter_context(Simulator())
        config = configuration(self.simulator.url)
        for provider in config["providers"].values():
            provider["max_connections"] = 1
        self.gateway = stack.enter_context(Gateway(config))
        self.control = stack.enter_context(httpx.Client(base_url=self.gateway.admin))

    def in_flight(self) -> int:
        """Admitted requests that have not ended; each holds its slot and its reservation."""
        count: int = self.control.get("/stats").json()["in_flight"]
        return count

    def serves(self) -> None:
        """The line to the provider is free: a client gets its answer."""
        assert ask(self.gateway.port, chat()).status == 200

    def arrived(self, number: int) -> None:
        """Waits until so many requests are at the provider."""
        self.simulator.wait_for(lambda state: state["open"] == number)

    def see(self, left: Left, at: float, *, remain: int = 0) -> None:
        """Waits until the provider has seen the leaving at `at` (Unix time), and nothing more is in flight."""
        self.gateway.wait(lambda: self.in_flight() == remain)
        left.returned.append(time.time() - at)
        if not remain:
            state = self.simulator.wait_for(lambda state: state["open"] == 0)
            left.cancelled.append(state["cancelled"][-1]["at"] - at)


def _leave(talk: Talk) -> float:
    at = time.time()
    talk.socket.close()
    return at


def before_the_head(stage: Stage, left: Left) -> None:
    """The provider has said nothing yet."""
    with Talk(stage.gateway.port) as talk:
        talk.send(chat(fault="hang"))
        stage.arrived(1)
        stage.see(left, _leave(talk))


def mid_stream(stage: Stage, left: Left) -> None:
    """Events come all the time."""
    with Talk(stage.gateway.port) as talk:
        talk.send(request(asked("claude-opus-4-6", max_tokens=100000, stream=True), path="/v1/messages",
                          anthropic_version="2023-06-01", x_simulate="tokens=100000;delay=2"))
        seen = b""
        while b"content_block_delta" not in seen:
            seen += talk.socket.recv(1 << 16)
        stage.see(left, _leave(talk))


def in_a_silent_stream(stage: Stage, left: Left) -> None:
    """The provider has fallen silent, so that no write tells that nobody is there."""
    with Talk(stage.gateway.port) as talk:
        talk.send(chat(stream=True, fault="stall=4"))
        seen = b""
        while seen.count(b"data: ") < 4:
            seen += talk.socket.recv(1 << 16)
        stage.see(left, _leave(talk))


def in_the_queue(stage: Stage, left: Left) -> None:
    """Another has the line; who waits for it leaves, and the provider never hears of them."""
    with Talk(stage.gateway.port) as taker, Talk(stage.gateway.port) as talk:
        taker.send(chat("taker", fault="hang"))
        stage.arrived(1)
        talk.send(chat("waiter"))
        stage.gateway.wait(lambda: stage.in_flight() == 2)
        stage.see(left, _leave(talk), remain=1)
    stage.gateway.wait(lambda: stage.in_flight() == 0)
    assert not any(one["model"] == "waiter" for one in stage.simulator.state(4)["log"])


def with_an_unread_answer(stage: Stage, left: Left) -> None:
    """The client has stopped reading; everything is full up to the provider."""
    with Talk(stage.gateway.port) as talk:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        talk.send(chat(stream=True, fault=f"big={BIG}"))
        talk.socket.recv(100)
        stage.arrived(1)
        stage.see(left, _leave(talk))


Point = Callable[[Stage, Left], None]
POINTS: dict[str, Point] = {
    "before the head": before_the_head, "mid-stream": mid_stream, "in a silent stream": in_a_silent_stream,
    "in the queue": in_the_queue, "with an unread answer": with_an_unread_answer}


def leave(stage: Stage, point: str, times: int) -> Left:
    """So many clients leave there, one after the other; AssertionError where something was not given back."""
    left = Left(point)
    for _ in range(times):
        stage.simulator.reset()
        POINTS[point](stage, left)
    stage.serves()
    return left


def main() -> int:
    """All points."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=100, help="clients that leave at each point")
    times = parser.parse_args().times
    all_left = []
    with ExitStack() as stack:
        stage = Stage(stack)
        for point in POINTS:
            progress(f"{point}: {times} times")
            all_left.append(leave(stage, point, times))
    table(["client leaves", "times", "cancelled p50 ms", "p99 ms", "all returned p50 ms", "p99 ms"], [
        [left.point, str(len(left.returned)),
         *(f"{percentile(values, part) * 1000:.1f}" if values else "never asked"
           for values in (left.cancelled, left.returned) for part in (0.5, 0.99))] for left in all_left])
    late = [left for left in all_left if left.cancelled and percentile(left.cancelled, 0.99) >= CANCELLED]
    return verdict([
        (f"the upstream request is cancelled within {CANCELLED * 1000:.0f} ms, 99 of 100 times", not late),
        ("slot, connection and reservation came back every time",
         all(len(left.returned) == times for left in all_left))])


if __name__ == "__main__":
    sys.exit(main())
