"""The time of each compiled function beside its oracle: the library or the plain Python that does the same job.

Rounds are interleaved: each round times every case once, ours and the oracle in turns, and gives one ratio per
case; the table shows medians. Ours are called from Python where the oracle is, so their figures hold the cost of
the call (about 40 ns); cases marked "in C" loop inside and show the function alone.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import h11
import httptools
import orjson
from harness.report import table
from prometheus_client import CollectorRegistry, Histogram

from edge._fast.contract.render import Slot, Template
from edge._fast.dialect.tap import tap_answer, tap_stream
from edge._fast.http.chunk import decode_chunked
from edge._fast.http.head import parse_rounds, request_head
from edge._fast.json.scan import Names, is_object
from edge._fast.shared.slab import Slab

SPAN = 4_000_000            # ns that one timing should take, at least
Timed = Callable[[int], float]      # so many times over -> ns for each


@dataclass(frozen=True, slots=True)
class Case:
    """One row: ours against an oracle. `size` is what one operation reads, in bytes, where that says something."""

    section: str
    name: str
    ours: Timed
    oracle: str
    theirs: Timed
    size: int = 0
    times: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "theirs": []})


def calls(function: Callable[..., Any], *arguments: Any, per: int = 1) -> Timed:
    """Times calls from Python; `per` operations are done in each."""
    def timed(n: int) -> float:
        rounds = range(max(1, n // per))
        began = time.perf_counter_ns()
        for _ in rounds:
            function(*arguments)
        return (time.perf_counter_ns() - began) / len(rounds) / per
    return timed


def inside(function: Callable[..., Any], *arguments: Any) -> Timed:
    """Times a function that loops by itself: its last argument is how often."""
    def timed(n: int) -> float:
        began = time.perf_counter_ns()
        function(*arguments, n)
        return (time.perf_counter_ns() - began) / n
    return timed


# ---- scan ----

MEMBERS = Names(("model", "messages", "stream", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n"))
PROSE = "the quick brown fox jumps over a lazy dog and then goes home to sleep under an old oak tree"


def prose(rng: random.Random, size: int) -> str:
    """English-like words."""
    return " ".join(rng.choices(PROSE.split(), k=size // 4))[:size]


def code(_: random.Random, size: int) -> str:
    """Text in which JSON needs many escapes."""
    return ('def f(x):\n    return "a" + x\n\n' * (size // 30 + 1))[:size]


def chinese(rng: random.Random, size: int) -> str:
    """Three bytes a character."""
    return "".join(rng.choices("你好世界这是一个测试用例，请回答下面的问题", k=size // 3))


def french(_: random.Random, size: int) -> str:
    """Now and then a character of two bytes."""
    return ("Ceci est un été à Paris, où l'on a déjà mangé. " * (size // 40 + 1))[:size]


def chat(size: int, messages: int, text: Callable[[random.Random, int], str] = prose) -> dict[str, Any]:
    """The body of a chat request of about that many bytes."""
    rng = random.Random(size)
    each = max(8, (size - 300) // messages)
    said = [{"role": ("user", "assistant")[i % 2], "content": text(rng, each)} for i in range(messages)]
    return {"model": "gpt-4o-mini", "messages": [{"role": "system", "content": "You are a helpful assistant."}, *said],
            "temperature": 0.7, "max_tokens": 256, "stream": True, "top_p": 1, "user": "u-1234"}


def embeddings() -> dict[str, Any]:
    """An answer made of numbers."""
    rng = random.Random(1)
    vector = [rng.uniform(-0.1, 0.1) for _ in range(1536)]
    return {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": vector}], "model": "m"}


def scanning() -> Iterator[Case]:
    """Validation and member search of whole bodies."""
    bodies = {
        "1 KB chat": orjson.dumps(chat(1024, 4)), "1 KB chat, json.dumps": json.dumps(chat(1024, 4)).encode(),
        "32 KB chat, 8 messages": orjson.dumps(chat(32768, 8)), "32 KB chat, 200": orjson.dumps(chat(32768, 200)),
        "32 KB of code": orjson.dumps(chat(32768, 8, code)), "32 KB of Chinese": orjson.dumps(chat(32768, 8, chinese)),
        "32 KB of French": orjson.dumps(chat(32768, 8, french)), "1 MB chat, 100": orjson.dumps(chat(1 << 20, 100)),
        "1536 floats": orjson.dumps(embeddings()), "5 KB, indented": json.dumps(chat(4096, 20), indent=2).encode(),
    }
    for name, body in bodies.items():
        assert is_object(body, MEMBERS)
        yield Case("scan", name, calls(is_object, body, MEMBERS), "orjson.loads", calls(orjson.loads, body), len(body))


# ---- tap ----

CHUNK = {"id": "chatcmpl-9xyzABCDEFGHIJ", "object": "chat.completion.chunk", "created": 1730000000,
         "model": "gpt-4o-mini-2024-07-18", "system_fingerprint": "fp_0123456789", "usage": None,
         "choices": [{"index": 0, "delta": {"content": " hello"}, "logprobs": None, "finish_reason": None}]}
COUNTS = {"prompt_tokens": 19, "completion_tokens": 7, "total_tokens": 26,
          "prompt_tokens_details": {"cached_tokens": 4}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
TEXT_DELTA = {"type": "response.output_text.delta", "item_id": "msg_123", "output_index": 0, "content_index": 0,
              "delta": "Hi", "sequence_number": 7, "logprobs": []}


def split(dialect: str, stream: bytes) -> int:
    """What a relay in Python does at least: split, look for the two names, parse what has one."""
    seen = 0
    for event in stream.split(b"\n\n"):
        for line in event.split(b"\n"):
            if line.startswith(b"data:"):
                if dialect == "chat" and (b'"usage":{' in line or b'"error"' in line):
                    usage = orjson.loads(line[5:]).get("usage")
                    seen += usage["prompt_tokens"] if usage else 0
                elif line == b"data: [DONE]":
                    return seen
            elif line.startswith(b"event:"):
                seen += line in (b"event: message_delta", b"event: response.completed", b"event: error")
    return seen


def answered(body: bytes) -> int:
    """The same for an answer in one piece."""
    usage = orjson.loads(body)["usage"]
    return int(usage["prompt_tokens"] + usage["completion_tokens"] + usage["prompt_tokens_details"]["cached_tokens"])


def tapping() -> Iterator[Case]:
    """Per event of a stream, 1000 events at a time; and whole answers."""
    events = {
        ("chat", "chat chunk"): b"data: " + orjson.dumps(CHUNK),
        ("chat", "chat chunk with usage"): b"data: " + orjson.dumps(CHUNK | {"usage": COUNTS}),
        ("messages", "messages delta"): b"event: content_block_delta\ndata: " + orjson.dumps(DELTA),
        ("responses", "responses delta"): b"event: response.output_text.delta\ndata: " + orjson.dumps(TEXT_DELTA),
    }
    for (dialect, name), event in events.items():
        stream = (event + b"\n\n") * 1000
        yield Case("tap", f"{name}, {len(event) + 2} B", calls(tap_stream, dialect, [stream], per=1000),
                   "Python splitting", calls(split, dialect, stream, per=1000), len(event) + 2)
    pieces = [b"data: " + b"x" * 1018, *[b"x" * 1024] * 127]
    yield Case("tap", "128 KB event in 1 KB pieces, each", calls(tap_stream, "chat", pieces, per=128),
               "bytes += piece", calls(gather, pieces, per=128), 1024)
    answer = orjson.dumps({"id": "c", "usage": COUNTS, "choices": [{"message": {"content": "word " * 150}}]})
    yield Case("tap", "1 KB answer", calls(tap_answer, "chat", answer), "orjson.loads", calls(answered, answer),
               len(answer))


def gather(pieces: list[bytes]) -> bytes:
    """What keeping an incomplete tail costs by itself in the test function."""
    tail = b""
    for piece in pieces:
        tail = tail + piece
    return tail


# ---- head, chunk ----

REQUEST = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8080\r\nAccept: application/json\r\n"
           b"Accept-Encoding: gzip, deflate\r\nUser-Agent: OpenAI/Python 1.50.0\r\nX-Stainless-Lang: python\r\n"
           b"X-Stainless-Retry-Count: 0\r\nAuthorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n"
           b"Content-Type: application/json\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")


class Ignore:
    """Takes httptools' callbacks as a server has to."""

    def on_url(self, url: bytes) -> None:
        """The path."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""


def with_httptools(data: bytes) -> None:
    """A request head through a fresh parser."""
    httptools.HttpRequestParser(Ignore()).feed_data(data)


def with_h11(data: bytes) -> None:
    """A request head through a fresh connection."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    connection.next_event()


def body_with_httptools(data: bytes) -> None:
    """A chunked body behind a minimal head."""
    httptools.HttpRequestParser(Ignore()).feed_data(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + data)


def heads() -> Iterator[Case]:
    """Request heads and chunked bodies."""
    assert request_head(REQUEST)
    ours = inside(parse_rounds, REQUEST)
    yield Case("head", "request of an SDK, in C", ours, "httptools", calls(with_httptools, REQUEST), len(REQUEST))
    yield Case("head", "request of an SDK, in C", ours, "h11", calls(with_h11, REQUEST), len(REQUEST))
    for size, count in ((256, 100), (16384, 4)):
        body = (f"{size:x}\r\n".encode() + b"x" * size + b"\r\n") * count + b"0\r\n\r\n"
        assert decode_chunked([body])[2]
        yield Case("chunk", f"{size} B pieces, each", calls(decode_chunked, [body], per=count), "httptools",
                   calls(body_with_httptools, body, per=count), size)


# ---- slab ----

class PlainBucket:
    """A token bucket in plain Python."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.level, self.seen = rate, burst, burst, time.monotonic()

    def take(self) -> bool:
        """One token, if there is one."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.seen) * self.rate)
        self.seen = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


def slabs() -> Iterator[Case]:
    """Buckets and histograms in shared memory, uncontended."""
    slab = Slab(1)
    slab.set_bucket(0, 1e6, 1000)
    plain = PlainBucket(1e6, 1000)
    histogram = Histogram("seconds", "Time.", registry=CollectorRegistry())
    yield Case("slab", "one bucket step, in C", lambda n: slab.bench_take(0, n), "Python", calls(plain.take))
    yield Case("slab", "one observation, in C", lambda n: slab.bench_observe(0, 1, n), "prometheus_client",
               calls(histogram.observe, 0.25))


# ---- render ----

def rendered_plainly(values: list[Any]) -> bytes:
    """An error answer the usual way."""
    body = json.dumps({"error": {"message": f"The model {values[Slot.S_MODEL]!r} does not exist", "param": "model",
                                 "type": "invalid_request_error", "code": "model_not_found"}}).encode()
    return (f"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nx-request-id: {values[Slot.S_REQUEST_ID]}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def rendering() -> Iterator[Case]:
    """An error answer with two values in it."""
    pieces = (b'{"error":{"message":"The model \'', (Slot.S_MODEL, b"?"),
              b'\' does not exist","type":"invalid_request_error","param":"model","code":"model_not_found"}}')
    template = Template("model_unknown", 404, b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n",
                        pieces, (), -1)
    values: list[Any] = [None] * Slot.N_SLOTS
    values[Slot.S_REQUEST_ID], values[Slot.S_MODEL] = "req-0123456789abcdef", "gpt-unknown"
    assert b"gpt-unknown" in template.render(values, b"", False)
    yield Case("render", "404 with head", calls(template.render, values, b"", False), "json.dumps",
               calls(rendered_plainly, values))


SECTIONS: dict[str, Callable[[], Iterator[Case]]] = {
    "scan": scanning, "tap": tapping, "head": heads, "slab": slabs, "render": rendering}


def often(timed: Timed) -> int:
    """How often to repeat for one timing to take long enough."""
    n = 1
    while (taken := timed(n) * n) < SPAN / 20 and n < 1 << 24:
        n *= 4
    return max(1, int(n * SPAN / max(taken, 1)))


def row(case: Case) -> list[str]:
    """A case as the table shows it."""
    ours, theirs = (statistics.median(case.times[side]) for side in ("ours", "theirs"))
    ratios = sorted(a / b for a, b in zip(case.times["ours"], case.times["theirs"], strict=True))
    speed = f"{case.size / ours:.2f}" if case.size else ""
    digits = 1 if ours < 100 else 0
    return [case.section, case.name, f"{ours:.{digits}f}", speed, case.oracle, f"{theirs:.0f}",
            f"{statistics.median(ratios):.3f}", f"{ratios[0]:.3f} – {ratios[-1]:.3f}"]


@click.command()
@click.option("--rounds", default=9, show_default=True, help="Timings of each case.")
@click.argument("sections", nargs=-1, type=click.Choice(list(SECTIONS)))
def main(rounds: int, sections: tuple[str, ...]) -> None:
    """Time compiled functions beside their oracles (all SECTIONS when none is named)."""
    cases = [case for name in sections or SECTIONS for case in SECTIONS[name]()]
    counts = [(often(case.ours), often(case.theirs)) for case in cases]
    for _ in range(rounds):
        for case, (ours, theirs) in zip(cases, counts, strict=True):
            case.times["ours"].append(case.ours(ours))
            case.times["theirs"].append(case.theirs(theirs))
    head = ["part", "case", "ns", "GB/s", "oracle", "its ns", "ratio, paired", "range"]
    table(head, [row(case) for case in cases])


if __name__ == "__main__":
    main()
