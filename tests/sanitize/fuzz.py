"""A bounded mutation fuzzer over the parsers of edge/_fast: `python tests/sanitize/fuzz.py [INPUTS [SEED]]`.

It looks for crashes and reports of the sanitizers, and for broken promises: a parser returns or raises its
own error and nothing else; a head, body or stream cut in pieces has the result of the whole. The seed of the
first input that breaks one is printed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from edge._fast import chunk, head, scan, tap

HEADS = [
    b"POST /v1/chat/completions?a=%41 HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive, x-a\r\nX-a: b\r\n"
    b"Authorization: Bearer sk-0\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{}",
    b"\r\nOPTIONS * HTTP/1.0\r\nTE: trailers\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nx-request-id: a\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 429 \r\nRetry-After: 1\r\nContent-Length: 2\r\nSet-Cookie: a\tb\r\n\r\n{}",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
BODIES = [
    b"5;a=\"b\\\"\";c\r\nhello\r\n00A\r\n0123456789\r\n0\r\na: b\r\n\r\nGET / HTTP/1.1",
    b"fffffffffffffff\r\nx",
]
TEXTS = [
    b'{"model": "gpt-5.5", "stream": true, "max_tokens": 1e3, "messages": [{"content": "\\ud83d\\ude00"}]}',
    b'{"id":"a","model":"b","usage":{"prompt_tokens":12,"completion_tokens":-0.5e-7,"total_tokens":1}}',
    b'{"type":"message","usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":2},"x":[[[null]]]}',
    b'{"error":{"message":"\xe2\x82\xac","type":"invalid_request_error","param":null,"code":"a"}}',
]
NUMBERS = [b'{"n":-12.5e+3}', b'{"n":-9223372036854775808}', b'{"n":1e308}', b'{"n":' + b"9" * 400 + b"}"]
STREAMS = [
    b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\ndata: {"usage":{"prompt_tokens":1,'
    b'"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    b'event: message_start\r\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\r\n\r\n'
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n: ping\n\n',
    b'event: response.completed\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":5}}}'
    b"\n\n",
]
NAMES = ("model", "stream", "max_tokens", "messages", "usage", "error", "id", "x")
DIALECTS: tuple[Any, ...] = ("none", "chat", "responses", "messages")
PIECES = [
    *(b"\r\n", b"\r", b"\n", b"\0", b"\x7f", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b" ", b"\t", b":", b",", b";", b"%", b'"', b"\\", b"\\u", b"{", b"}", b"[" * 300, b"]", b"0"),
    *(b"9" * 30, b"-", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n"),
    *(b"a: b\r\n" * 130, b"Connection: a,b,c\r\n", b"HTTP/1.1", b"event: ", b"data: [DONE]\n\n", b"null"),
    *(b"true", b'"usage":{', b"data:", b"a" * 300, b"e"),
]


def mutate(source: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with a few bytes flipped, cut out, put in, repeated, or spliced with another seed."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.choice((0, 1, 1, 2, 2, 3, 5, 8))):
        at = source.randrange(len(data) + 1)
        to = min(len(data), at + source.choice((0, 1, 1, 2, 4, 16, 64)))
        step = source.randrange(6)
        if step == 0 and data:
            data[at % len(data)] ^= 1 << source.randrange(8)
        elif step == 1:
            del data[at:to]
        elif step == 2:
            data[at:to] = source.choice(PIECES)
        elif step == 3:
            data[at:at] = data[at:to] * source.choice((1, 2, 20))
        elif step == 4:
            data[at:to] = source.randbytes(to - at)
        else:
            other = source.choice(seeds)
            data[at:] = other[source.randrange(len(other)) :]
    return bytes(data)


def cut(source: random.Random, data: bytes) -> list[bytes]:
    """The bytes in up to six pieces, some of them empty."""
    points = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(6)))
    return [data[a:b] for a, b in zip([0, *points], [*points, len(data)], strict=True)]


def outcome(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a parser returns, or its own error's text; any other exception passes."""
    try:
        return call(*arguments)
    except (head.HeadError, chunk.ChunkError, scan.ScanError) as error:
        return str(error)


def try_head(source: random.Random) -> None:
    """A head's prefix wants more or has the result of the whole; what goes on fits where it is written."""
    data = mutate(source, HEADS)
    size = source.choice((65536, 65536, 200))
    requests = (head.request_head, size, source.choice((8192, 20)))
    for parse, *limits in (requests, (head.response_head, size, source.random() < 0.5)):
        whole = outcome(parse, data, *limits)
        for _ in range(3):
            assert outcome(parse, data[: source.randrange(len(data) + 1)], *limits) in (None, whole)
    outcome(head.relayed, data, False)
    outcome(head.relayed, data, True)


def try_chunked(source: random.Random) -> None:
    """A body has one reading however it is cut."""
    data = mutate(source, BODIES)
    assert outcome(chunk.decode_chunked, cut(source, data)) == outcome(chunk.decode_chunked, [data])


def try_scan(source: random.Random) -> None:
    """Members lie inside of the text that has them."""
    data = mutate(source, TEXTS)
    found = outcome(scan.scan_members, data, NAMES)
    if isinstance(found, dict):
        assert all(0 <= start < end <= len(data) for _, start, end in found.values())
    outcome(scan.read_number, mutate(source, NUMBERS))


def try_tap(source: random.Random) -> None:
    """An answer or a stream, valid or not, is tapped without complaint, a stream however it is cut."""
    dialect = source.choice(DIALECTS)
    tap.tap_answer(dialect, mutate(source, TEXTS))
    data = mutate(source, STREAMS)
    assert tap.tap_stream(dialect, cut(source, data)) == tap.tap_stream(dialect, [data])


def main(inputs: int = 10_000, seed: int = 0) -> None:
    """Try so many inputs, each with a source of its own, so that one can be tried again alone."""
    for number in range(seed, seed + inputs):
        source = random.Random(number)
        trial = (try_head, try_chunked, try_scan, try_tap)[number % 4]
        try:
            trial(source)
        except BaseException:
            print(f"{trial.__name__} fails with seed {number}", file=sys.stderr)
            raise
    print(f"{inputs} inputs from seed {seed} on: nothing found")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
