"""What clients ask for and providers answer in seeded runs: good, bad, or broken off."""

from __future__ import annotations

import gzip
import random
import zlib
from functools import partial
from typing import Any

import orjson

KEY = "sk-way-0123456789abcdef"
DATA = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}%b}]}\n\n'
EVENTS = (DATA % b"", DATA % b',"finish_reason":"stop"', b"data: [DONE]\n\n", b"data: {]\n\n",
          b'data: {"error":{"message":"no","type":"server_error"}}\n\n', b": ping\n\n", b"data: ")
PLAIN = orjson.dumps({"id": "c", "object": "chat.completion", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}})
LONG = PLAIN.replace(b"hi", b"h" * 700_000)            # more than a socket takes at once
PACK = {b"gzip": partial(gzip.compress, mtime=0), b"deflate": zlib.compress}
TOO_LONG = {coding: pack(bytes(2_000_000)) for coding, pack in PACK.items()}
ERROR = b'{"error":{"message":"no","type":"x"}}'


def request(rng: random.Random, run: int) -> bytes:
    """A request of a run: mostly a good one."""
    kind = rng.randrange(13)
    if kind == 0:
        return rng.choice((b"GET /health HTTP/1.1\r\nhost: e\r\n\r\n", b"G\x00T / HTTP/1.1\r\n\r\n", b"\r\n\r\n\r\n"))
    body: dict[str, Any] = {"model": rng.choice(("m", "m", "lone", "claude", "sealed", "none")),
                            "messages": [{"role": "user", "content": "x" * rng.choice((1, 9, 3000))}]}
    if rng.random() < 0.5:
        body["stream"] = True
    if rng.random() < 0.3 or body["model"] == "claude":
        body["max_tokens"] = 10
    path = b"/v1/messages" if body["model"] == "claude" else b"/v1/chat/completions"
    if kind == 1:
        path = b"/v1/files"
    text = orjson.dumps(body)[:None if kind != 2 else -1]
    if kind == 1:
        text = b"f" * rng.choice((10, 9000, 700_000))
    more = b"expect: 100-continue\r\n" if kind == 3 else b""
    if kind == 7:
        more, text = coded(rng, text)
    if rng.random() < 0.4:                  # and much the same for all of a run who do
        more += b"x-edge-cache: %b\r\n" % rng.choice((b"use", b"use", b"use", b"refresh", b"never"))
        if path == b"/v1/chat/completions":
            text = b'{"model":"m","messages":[],"seed":%d,"stream":%b}' % (run, rng.choice((b"true", b"false")))
    head = (b"POST %b HTTP/1.%d\r\nhost: e\r\ncontent-type: application/json\r\nauthorization: Bearer %b\r\n%b" % (
        path, kind != 4, KEY.encode() if kind != 5 else b"sk-wrong-0123456789abcdef", more))
    if kind == 6:
        return head + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    return head + b"content-length: %d\r\n\r\n%b" % (len(text), text)


def coded(rng: random.Random, text: bytes) -> tuple[bytes, bytes]:
    """A body that comes compressed, and the field that says so: damaged, cut or far too long once it is unpacked."""
    coding = rng.choice((b"gzip", b"deflate"))
    whole = PACK[coding](text) if rng.random() < 0.8 else TOO_LONG[coding]
    if rng.random() < 0.3:
        whole = whole[:rng.randrange(len(whole))] + rng.choice((b"", b"?"))
    return b"content-encoding: %b\r\n" % coding, whole


def answer(rng: random.Random) -> list[bytes]:
    """A provider's answer in pieces: good, bad, or broken off."""
    kind = rng.randrange(12)
    if kind < 3:
        whole = good(rng.choice((PLAIN, PLAIN, LONG)))
    elif kind < 7:
        events = [DATA % b""] * rng.randrange(3) + [rng.choice(EVENTS) for _ in range(rng.randrange(4))]
        if rng.random() < 0.6:
            events += EVENTS[1:3]
        whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%b\r\n" % (len(event), event) for event in events) + rng.choice((b"0\r\n\r\n", b"", b"zz\r\n"))
    elif kind < 10:
        status = rng.choice((b"400 B", b"401 U", b"404 N", b"429 T", b"500 I", b"503 S"))
        wait = rng.choice((b"", b"retry-after: 1\r\n", b"x-should-retry: true\r\n", b"x-should-retry: false\r\n"))
        whole = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(ERROR), wait, ERROR)
    else:
        whole = rng.choice((b"HTTP/1.1 2", b"rubbish\r\n\r\n", b"HTTP/1.1 204 N\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n",
                            b"HTTP/1.1 302 F\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
                            b"\x15\x03\x01\x00\x02\x02F"))
    return in_pieces(rng, whole)


def good(body: bytes) -> bytes:
    """A good plain answer."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def in_pieces(rng: random.Random, whole: bytes) -> list[bytes]:
    """The bytes, cut at up to three places."""
    cut = sorted(rng.randrange(len(whole)) for _ in range(rng.randrange(4)))
    return [whole[a:b] for a, b in zip([0, *cut], [*cut, len(whole)], strict=True) if a < b]
