"""How much memory a worker takes for what clients send it, and whether it gives it back.

    python -m tests.faults.memory [--clients 200] [--size 10000000]

Each way of sending is a round of its own: many bodies at once, whole or not, plain or in chunks, and answers that
nobody reads. A row gives the bytes that came in, from clients and providers, by how much the worker's resident memory
grew at most while all of them were there, the ratio of the two, and what was left a few seconds after all had gone.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.looks import at_rest, resident
from tests.support.provider import Line, Provider, answer
from tests.support.talk import Talk, asked, request

LONG = answer(b'{"choices": [], "text": "' + b"t" * 900_000 + b'"}')
RETURN_SECONDS = 8.0


@dataclass
class Row:
    """What one way of sending cost."""

    way: str
    came: int           # bytes
    grew: int
    left: int

    @property
    def ratio(self) -> float:
        """Resident growth per byte."""
        return self.grew / self.came


def plain(size: int) -> bytes:
    """A whole request of about that many bytes."""
    return request(asked(text="y" * size))


def chunked(size: int, piece: int = 65536) -> bytes:
    """The same in chunks."""
    head, body = plain(size).split(b"\r\n\r\n", 1)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at:at + piece]), body[at:at + piece])
                      for at in range(0, len(body), piece))
    return b"\r\n".join(lines) + b"\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def half_head(size: int) -> bytes:
    """As much of a head as there may be, without its end."""
    return f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {KEY}\r\nx: ".encode() + b"h" * min(size, 7000)


WAYS: dict[str, Callable[[int], bytes]] = {
    "whole, plain": plain,
    "whole, chunked": chunked,
    "half, plain": lambda size: plain(size)[:-1],
    "half, chunked": lambda size: chunked(size)[:-8],
    "half, chunks of 10 bytes": lambda size: chunked(size // 20, 10)[:-8],
    "half a head": half_head,
    "pipelined behind a request": lambda size: plain(100) + plain(100) * 400,
    "answers that nobody reads": lambda size: request(asked(), x_long="yes") * 8,
}


class Holding(Provider):
    """Reads no long body and answers nothing, but long answers to who asks for them; `said` counts their bytes."""

    def __init__(self) -> None:
        super().__init__(self.hold)
        self.said = 0
        self.over = threading.Event()

    def hold(self, line: Line) -> None:
        """The script."""
        while head := line.head():
            line.buffer = head + b"\r\n\r\n" + line.buffer
            if b"x-long: " not in head:
                self.over.wait(60)
                return
            line.request()
            line.send(LONG)
            self.said += len(LONG)


def measure(way: str, clients: int, size: int) -> Row:
    """One round, with a gateway of its own."""
    data = WAYS[way](size)
    with Holding() as provider:
        config = configuration(provider.url, limits={"memory_bytes": 1 << 40, "body_bytes": max(size * 2, 1 << 20)})
        config["providers"]["openai"]["timeouts"] = {"first_byte": 600}
        with Gateway(config) as edge:
            warm(edge)
            worker = edge.children()[1]
            before = peak = resident(worker)
            sent: list[int] = []
            with contextlib.ExitStack() as stack:
                talks = [stack.enter_context(Talk(edge.port)) for _ in range(clients)]
                sending = [threading.Thread(target=send, args=(talk, data, sent)) for talk in talks]
                for thread in sending:
                    thread.start()
                while any(thread.is_alive() for thread in sending):
                    peak = max(peak, resident(worker))
                    time.sleep(0.01)
                settled(edge)
                peak = max(peak, resident(worker))
                provider.over.set()
            at_rest(edge)
            end = time.monotonic() + RETURN_SECONDS
            while resident(worker) - before > max((peak - before) / 50, 2_000_000) and time.monotonic() < end:
                time.sleep(0.05)
            return Row(way, sum(sent) + provider.said, peak - before, resident(worker) - before)


def settled(edge: Gateway) -> None:
    """Waits until all that was sent has been read."""
    seen = [-3.0, -2.0, -1.0]
    while len(set(seen)) > 1:
        time.sleep(0.3)
        seen = [*seen[1:], edge.metric("edge_memory_bytes")]


def warm(edge: Gateway) -> None:
    """A first request: what a worker allocates once is no client's."""
    with Talk(edge.port) as talk:
        talk.send(request(asked(), x_long="yes"))
        talk.answer()


def send(talk: Talk, data: bytes, sent: list[int]) -> None:
    """All of it, or as much as the gateway reads; notes how much that was."""
    rest = memoryview(data)
    talk.socket.settimeout(3)
    with contextlib.suppress(TimeoutError):
        while rest:
            rest = rest[talk.socket.send(rest):]
    sent.append(len(data) - len(rest))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--size", type=int, default=10_000_000)
    options = parser.parse_args()
    print("| way | MB in | MB grown | ratio | MB left |\n|---|---|---|---|---|")
    for way in WAYS:
        row = measure(way, options.clients, options.size)
        print(f"| {row.way} | {row.came / 1e6:.1f} | {row.grew / 1e6:.1f} | {row.ratio:.2f} | {row.left / 1e6:.1f} |",
              flush=True)


if __name__ == "__main__":
    main()
