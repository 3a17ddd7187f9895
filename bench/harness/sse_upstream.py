"""A provider that streams: chat.completion.chunk events at a fixed pace. On asyncio protocols under uvloop.

Every POST is answered with N events, a finishing event and `[DONE]`; where the request asks for usage, with that too,
as OpenAI does: a null in each event, and one more event. Each event carries the time of its write
(CLOCK_MONOTONIC in ns, as `t` and 16 digits), so that a reader on the same machine can tell how long it was
on its way. A GET answers the number of POSTs so far.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import time

import uvloop

HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
        b"transfer-encoding: chunked\r\n\r\n")
STAMP = b"t%016d"


def chunk(data: bytes) -> bytes:
    """One server-sent event as one chunk of the chunked coding."""
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(event), event)


def delta(choices: bytes, usage: bytes) -> bytes:
    """The JSON of one chat.completion.chunk."""
    return (b'{"id":"chatcmpl-bench0123456789abcdef","object":"chat.completion.chunk","created":1760000000,'
            b'"model":"gpt-4o-mini","system_fingerprint":"fp_bench","choices":[%s]%s}' % (choices, usage))


def choice(content: bytes, finish: bytes) -> bytes:
    """What an event says of its one choice."""
    return b'{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}' % (content, finish)


# The chunk's size is counted with a stamp of the final length in place; the format goes in afterwards.
PLACE = STAMP % 0
SAID, LAST = choice(b'{"role":"assistant","content":"%s"}' % PLACE, b"null"), choice(b"{}", b'"stop"')
COUNTS = b',"usage":{"prompt_tokens":211,"completion_tokens":100,"total_tokens":311}'
DONE = chunk(b"[DONE]") + b"0\r\n\r\n"
# By whether usage is asked for: an event, and what ends the stream.
EVENTS = [chunk(delta(SAID, usage)).replace(PLACE, STAMP) for usage in (b"", b',"usage":null')]
ENDS = [chunk(delta(LAST, b"")) + DONE, chunk(delta(LAST, b',"usage":null')) + chunk(delta(b"", COUNTS)) + DONE]


class Provider(asyncio.Protocol):
    """One connection: one request at a time, its body delimited by Content-Length or by the last chunk."""

    asked = 0
    events = 100
    delay = 0.0

    def __init__(self) -> None:
        self.received = b""
        self.left = 0
        self.usage = False
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = transport  # type: ignore[assignment]    # uvloop's have no common base with asyncio's

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the stream that was running."""
        self.left = -1

    def data_received(self, data: bytes) -> None:
        """Answers each request once it is there in full."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head, size = self.received[:end].lower(), end + 4
            if b"transfer-encoding: chunked" in head:
                last = self.received.find(b"0\r\n\r\n", end)
                if last < 0:
                    return
                size = last + 5
            elif b"content-length:" in head:
                size += int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.received) < size:
                return
            self.usage = b'"include_usage":true' in self.received[end:size].replace(b" ", b"")
            self.received = self.received[size:]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        """Starts a stream, or tells the count."""
        if head.startswith(b"get"):
            text = b"%d" % Provider.asked
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))
            return
        Provider.asked += 1
        self.left = self.events - 1
        self.transport.write(HEAD + EVENTS[self.usage] % time.monotonic_ns())
        self.later()

    def later(self) -> None:
        """Arranges the next event: after the pause, or in the loop's next turn."""
        if self.delay:
            self.loop.call_later(self.delay, self.step)
        else:
            self.loop.call_soon(self.step)

    def step(self) -> None:
        """Writes the next event, or the end."""
        if self.left > 0:
            self.left -= 1
            self.transport.write(EVENTS[self.usage] % time.monotonic_ns())
            self.later()
        elif self.left == 0:
            self.transport.write(ENDS[self.usage])


async def serve(options: argparse.Namespace) -> None:
    """Listens until the process is ended."""
    loop = asyncio.get_running_loop()
    Provider.events, Provider.delay = options.events, options.delay / 1000
    await loop.create_server(Provider, "127.0.0.1", options.port, backlog=4096)
    if options.tls_port:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
        await loop.create_server(Provider, "127.0.0.1", options.tls_port, backlog=4096, ssl=context)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--certificate", help="PEM file of certificate and key")
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0, help="milliseconds between events")
    uvloop.run(serve(parser.parse_args()))
