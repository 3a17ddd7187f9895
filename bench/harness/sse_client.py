"""Many streams at once: each connection asks again and again until the time is up. Prints one JSON line.

Every stream must be a 200 that ends properly after exactly the expected number of stamped events and
`[DONE]`. Times are microseconds: `first` from the request's write to the read that holds the first event,
`relay` from the provider's write of an event to its read here (one clock, one machine).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

STAMP = re.compile(rb"t(\d{16})")
HARD_LIMIT = 90.0


class Totals:
    """What all streams together have seen."""

    def __init__(self, options: argparse.Namespace) -> None:
        head = Path(options.headers).read_text().strip().replace("\n", "\r\n")
        body = Path(options.body).read_bytes()
        self.request = (f"POST {options.path} HTTP/1.1\r\nHost: 127.0.0.1:{options.port}\r\n"
                        f"Content-Length: {len(body)}\r\n{head}\r\n\r\n").encode() + body
        self.expected = options.events
        self.until = time.monotonic() + options.seconds
        self.started = self.good = self.events = self.reads = 0
        self.first: list[int] = []
        self.relay: list[int] = []
        self.bad: list[str] = []


class Stream(asyncio.Protocol):
    """One connection."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the first stream."""
        self.transport = transport
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection may only end between streams."""
        if self.running:
            self.fail(f"connection lost after {self.count} events: {exc}")
        self.closed.set_result(None)

    def ask(self) -> None:
        """Sends the request."""
        self.head = self.raw = self.tail = b""
        self.count, self.running = 0, True
        self.totals.started += 1
        self.asked = time.monotonic_ns()
        self.transport.write(self.totals.request)  # type: ignore[attr-defined]

    def fail(self, why: str) -> None:
        """Notes what went wrong and gives this connection up."""
        self.running = False
        self.totals.bad.append(why[:300])
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Takes the head, then pieces of the body as they come."""
        now = time.monotonic_ns()
        self.totals.reads += 1
        raw = self.raw + data
        if not self.head:
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                self.raw = raw
                return
            self.head, raw = raw[:end].lower(), raw[end + 4:]
            if not self.head.startswith(b"http/1.1 200 ") or b"transfer-encoding: chunked" not in self.head:
                self.fail(f"wrong answer: {(self.head + raw)!r}")
                return
        text, over = self.dechunk(raw)
        self.count_events(text, now)
        if over:
            self.end()

    def dechunk(self, raw: bytes) -> tuple[bytes, bool]:
        """The payload of the whole chunks in `raw` (a proxy may cut them anywhere), and whether it ends."""
        position, pieces = 0, []
        while (line := raw.find(b"\r\n", position)) >= 0:
            size = int(raw[position:line], 16)
            following = line + 2 + size + 2
            if following > len(raw):
                break
            pieces.append(raw[line + 2:following - 2])
            position = following
            if size == 0:
                break
        self.raw = raw[position:]
        return b"".join(pieces), bool(pieces) and not pieces[-1]

    def count_events(self, text: bytes, now: int) -> None:
        """Counts the stamps; one that is cut in two is found with the next piece."""
        totals, last = self.totals, 0
        text = self.tail + text
        for match in STAMP.finditer(text):
            if self.count == 0:
                totals.first.append((now - self.asked) // 1000)
            self.count += 1
            totals.relay.append((now - int(match[1])) // 1000)
            last = match.end()
        self.tail = text[max(last, len(text) - 32):]

    def end(self) -> None:
        """Judges the finished stream; the next one starts on the same connection while there is time."""
        totals = self.totals
        if self.count != totals.expected or not self.tail.endswith(b"data: [DONE]\n\n"):
            self.fail(f"{self.count} events, then {self.tail!r}")
            return
        self.running = False
        totals.good += 1
        totals.events += self.count
        if time.monotonic() < totals.until:
            self.ask()
        else:
            self.transport.close()


async def connection(totals: Totals, port: int, delay: float) -> None:
    """One connection's life, begun after `delay` seconds."""
    await asyncio.sleep(delay)
    try:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: Stream(totals), "127.0.0.1", port)
    except OSError as error:
        totals.bad.append(repr(error))
        return
    await stream.closed


def quantiles(values: list[int]) -> dict[str, int]:
    """The median and the 99th percentile."""
    values.sort()
    return {f"p{part}": values[len(values) * part // 100] if values else 0 for part in (50, 99)}


async def run(options: argparse.Namespace) -> None:
    """All connections, spread over the ramp; never longer than the hard limit."""
    totals, begun = Totals(options), time.monotonic()
    step = options.ramp / options.streams
    lives = [connection(totals, options.port, n * step) for n in range(options.streams)]
    try:
        await asyncio.wait_for(asyncio.gather(*lives), HARD_LIMIT)
    except TimeoutError:
        totals.bad.append(f"not finished after {HARD_LIMIT:g} s")
    print(json.dumps({
        "seconds": time.monotonic() - begun, "started": totals.started, "good": totals.good,
        "events": totals.events, "reads": totals.reads, "bad": totals.bad[:3],
        "first": quantiles(totals.first), "relay": quantiles(totals.relay)}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("port", "streams", "events"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("seconds", "ramp"):
        parser.add_argument(f"--{name}", type=float, required=True)
    for name in ("path", "headers", "body"):
        parser.add_argument(f"--{name}", required=True)
    uvloop.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
