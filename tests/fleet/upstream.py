"""A provider that only remembers: when each request came, and what it said that its answer used."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType

import httptools


class Upstream:
    """Runs in a thread while the `with` block does. `asked` are (time of a monotonic clock, tokens used); an answer's
    id is its place there. `lent` are those that clients have found to be let pass by a host's share or policy alone."""

    def __init__(self, tokens: Callable[[bytes], int] = lambda body: 2, delay: float = 0.0,
                 address: str = "127.0.0.1") -> None:
        self.tokens = tokens
        self.delay = delay
        self.address = address
        self.status = 200
        self.asked: list[tuple[float, int]] = []
        self.lent: set[str] = set()

    def __enter__(self) -> Upstream:
        started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(started)), daemon=True)
        self.thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)

    async def serve(self, started: threading.Event) -> None:
        """Until the end."""
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        server = await self.loop.create_server(lambda: Connection(self), self.address, 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        started.set()
        await self.ended.wait()

    def forget(self) -> None:
        """It has seen nobody."""
        self.asked.clear()
        self.lent.clear()

    def over(self, rate: float, burst: int, *, tokens: bool = False, granted: bool = False) -> float:
        """Units beyond burst + rate * t, in the window in which that is most; below 0 there is none. `granted`: but for
        those that were lent."""
        debt, last, most = 0.0, 0.0, 0.0
        for at, used in (each for place, each in enumerate(self.asked) if not granted or str(place) not in self.lent):
            debt = max(0.0, debt - (at - last) * rate) + (used if tokens else 1)
            last, most = at, max(most, debt)
        return most - burst


class Connection(asyncio.Protocol):
    """One of them."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A gateway has come."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Some of its body."""
        self.body += data

    def on_message_complete(self) -> None:
        """It is whole."""
        body, self.body = self.body, b""
        used = self.upstream.tokens(body)
        place = len(self.upstream.asked)
        self.upstream.asked.append((time.monotonic(), used))
        if self.upstream.delay:
            self.upstream.loop.call_later(self.upstream.delay, self.answer, place, used)
        else:
            self.answer(place, used)

    def answer(self, place: int, used: int) -> None:
        """A completion of so many tokens, one of them the request's: one of none would not be believed."""
        text = json.dumps({
            "id": str(place), "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": used - 1, "total_tokens": used}}).encode()
        self.transport.write(b"HTTP/1.1 %d It is\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
            self.upstream.status, len(text), text))
