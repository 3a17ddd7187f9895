"""The chunked coding: what RFC 9112 section 7.1 allows is decoded, all else refused, however it is cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge._fast.http import chunk
from tests.fast.peers import agree_on_body, h11_body

END = b"0\r\n\r\n"


def outcome(pieces: list[bytes]) -> tuple[bytes, bytes, bool] | None:
    """Payload, rest, complete; None when refused."""
    try:
        return chunk.decode_chunked(pieces)
    except chunk.ChunkError:
        return None


ACCEPTED: list[tuple[str, bytes, tuple[bytes, bytes, bool]]] = [
    ("7.1", END, (b"", b"", True)),
    ("7.1", b"5\r\nhello\r\n" + END, (b"hello", b"", True)),
    ("7.1", b"5\r\nhello\r\n6\r\n world\r\n" + END, (b"hello world", b"", True)),
    ("7.1", b"a\r\n0123456789\r\nA\r\n0123456789\r\n" + END, (b"0123456789" * 2, b"", True)),
    ("7.1", b"1f\r\n" + b"x" * 31 + b"\r\n" + END, (b"x" * 31, b"", True)),
    ("7.1", b"0005\r\nhello\r\n0000\r\n\r\n", (b"hello", b"", True)),
    ("7.1", b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", (b"hello", b"", True)),
    ("7.1", b"2\r\n\r\n\r\n" + END, (b"\r\n", b"", True)),
    ("7.1", END + b"GET / HTTP/1.1\r\n", (b"", b"GET / HTTP/1.1\r\n", True)),
    ("7.1", END + END, (b"", END, True)),
    ("7.1", b"", (b"", b"", False)),
    ("7.1", b"5", (b"", b"", False)),
    ("7.1", b"5\r", (b"", b"", False)),
    ("7.1", b"5\r\n", (b"", b"", False)),
    ("7.1", b"5\r\nhel", (b"hel", b"", False)),
    ("7.1", b"5\r\nhello", (b"hello", b"", False)),
    ("7.1", b"5\r\nhello\r\n0\r\n", (b"hello", b"", False)),
    ("7.1", b"5\r\nhello\r\n0\r\n\r", (b"hello", b"", False)),
    ("7.1", b"fffffffffffffff\r\nx", (b"x", b"", False)),
    ("7.1", b"0fffffffffffffff\r\nx", (b"x", b"", False)),
    ("7.1.1", b"1;a\r\nx\r\n0;b=c;d=\"e f\"\r\n\r\n", (b"x", b"", True)),
    ("7.1.1", b"1;a=\"\t\xe9\\\"\";b=c;d\r\nx\r\n" + END, (b"x", b"", True)),
    ("7.1.1", b"1;" + b"a" * 1023 + b"\r\nx\r\n" + END, (b"x", b"", True)),
    ("7.1.2", b"0\r\na: b\r\n\r\n", (b"", b"", True)),
    ("7.1.2", b"0\r\na:\r\nB-c: d\te\xe9\r\n\r\nrest", (b"", b"rest", True)),
    ("7.1.2", b"0\r\nContent-Length: 5\r\nHost: x\r\n\r\n", (b"", b"", True)),
    ("7.1.2", b"0\r\n" + b"a: bcd\r\n" * 1023 + b"\r\n", (b"", b"", True)),
]

REFUSED: list[tuple[str, bytes]] = [
    ("7.1", b"\r\n"),
    ("7.1", b"\r\n5\r\nhello\r\n" + END),
    ("7.1", b" 5\r\n"),
    ("7.1", b"5 \r\nhello\r\n" + END),
    ("7.1", b"5\t\r\n"),
    ("7.1", b"+5\r\n"),
    ("7.1", b"-5\r\n"),
    ("7.1", b"-0\r\n"),
    ("7.1", b"0x5\r\n"),
    ("7.1", b"5_0\r\n"),
    ("7.1", b"5h\r\n"),
    ("7.1", b"g\r\n"),
    ("7.1", b"`\r\n"),
    ("7.1", b"@\r\n"),
    ("7.1", b"/\r\n"),
    ("7.1", b":\r\n"),
    ("7.1", b"G\r\n"),
    ("7.1", b"\xb5\r\n"),
    ("7.1", b"5.0\r\n"),
    ("7.1", b"5,5\r\n"),
    ("7.1", b"\"5\"\r\n"),
    ("7.1", b";a\r\n"),
    ("7.1", b"1000000000000000\r\n"),
    ("7.1", b"ffffffffffffffff\r\n"),
    ("7.1", b"00000000000000005\r\n"),
    ("7.1", b"10000000000000005\r\n"),
    ("2.2", b"5\nhello\n0\n\n"),
    ("2.2", b"5\r\nhello\n" + END),
    ("2.2", b"5\rhello\r\n" + END),
    ("2.2", b"5\r\rhello\r\n" + END),
    ("2.2", b"5\r\nhello\r\n0\n\n"),
    ("2.2", b"5\r\nhello\r\n0\r\n\n"),
    ("2.2", b"0\r\n\r\r\n"),
    ("7.1", b"5\r\nhello" + END),
    ("7.1", b"5\r\nhelloo\r\n" + END),
    ("7.1", b"5\r\nhell\r\n" + END),
    ("7.1", b"5\r\nhello\r5\r\n"),
    ("7.1", b"5\r\nhello\r\n\r\n"),
    ("7.1", b"5\r\nhello\r\n 0\r\n\r\n"),
    ("7.1.1", b"5;a\nhello"),
    ("7.1.1", b"5;a\x00\r\n"),
    ("7.1.1", b"5;a\x7f\r\n"),
    ("7.1.1", b"5;a\x0b\r\n"),
    ("7.1.1", b"5;a\rb\r\n"),
    ("7.1.1", b"5;\n"),
    ("7.1.1", b"5;\r\n"),
    ("7.1.1", b"5;a;\r\n"),
    ("7.1.1", b"5;=b\r\n"),
    ("7.1.1", b"5;a=\r\n"),
    ("7.1.1", b"5;a=b=c\r\n"),
    ("7.1.1", b"5;a=\"b\"c\r\n"),
    ("7.1.1", b"5;a=b\"c\"\r\n"),
    ("7.1.1", b"5;\"a\"\r\n"),
    ("7.1.1", b"5;a=\"b\r\n"),
    ("7.1.1", b"5;a=\"b\\\r\n"),
    ("7.1.1", b"5;a=\xe9\r\n"),
    ("own", b"5; a\r\n"),
    ("own", b"5;a \r\n"),
    ("own", b"5;a =b\r\n"),
    ("own", b"1;" + b"a" * 1025),
    ("own", b"1;aaa\r\nx\r\n" * 257),
    ("7.1.2", b"0\r\na\r\n\r\n"),
    ("7.1.2", b"0\r\n: b\r\n\r\n"),
    ("7.1.2", b"0\r\na : b\r\n\r\n"),
    ("7.1.2", b"0\r\n a: b\r\n\r\n"),
    ("7.1.2", b"0\r\na: b\r\n c\r\n\r\n"),
    ("7.1.2", b"0\r\na: b\n\r\n"),
    ("7.1.2", b"0\r\na: b\rc\r\n\r\n"),
    ("7.1.2", b"0\r\na: \x00\r\n\r\n"),
    ("7.1.2", b"0\r\na: \x7f\r\n\r\n"),
    ("7.1.2", b"0\r\nGET / HTTP/1.1\r\n"),
    ("own", b"0\r\n" + b"a: bcd\r\n" * 1024 + b"\r"),
    ("own", b"0\r\na: " + b"b" * 8192),
]


@pytest.mark.parametrize(("section", "data", "wanted"), ACCEPTED)
def test_accepts(section: str, data: bytes, wanted: tuple[bytes, bytes, bool]) -> None:
    """A body that RFC 9112 allows is decoded, whole, byte by byte and with empty pieces between."""
    single = [data[i : i + 1] for i in range(len(data))]
    assert outcome([data]) == wanted, section
    assert outcome(single) == wanted
    assert outcome([b"", *(piece for one in single for piece in (one, b""))]) == wanted


@pytest.mark.parametrize(("section", "data"), REFUSED)
def test_refuses(section: str, data: bytes) -> None:
    """A body that RFC 9112 forbids is refused at the byte that decides it, however it is cut."""
    assert outcome([data]) is None, section
    assert outcome([data[i : i + 1] for i in range(len(data))]) is None
    first = next(end for end in range(len(data) + 1) if outcome([data[:end]]) is None)
    assert outcome([data[:first] + END + END]) is None


def test_refuses_for_good() -> None:
    """After a break nothing that follows is taken for a body."""
    assert outcome([b"5\r\nhello\r\nx", END]) is None


def test_keeps_what_follows() -> None:
    """The bytes behind the end are the next request's, whichever pieces they came in."""
    assert outcome([END + b"GET", b" /", b""]) == (b"", b"GET /", True)


def cut(data: bytes, seed: int) -> list[bytes]:
    """The bytes in random pieces, some empty."""
    source = random.Random(seed)
    points = [0, *sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(8))), len(data)]
    return [data[a:b] for a, b in pairwise(points)]


SIZES = st.sampled_from(["%x", "%X", "%03x"])
EXTENSIONS = st.sampled_from(["", "", "", ";a", ";a=b", ';a="b c";d'])
RUDE = [*(b"\r", b"\n", b"\r\n", b"0", b"f", b";", b" ", b"\0", b":", b"g", END, b"-", b"=", b'"')]
TRAILERS = st.sampled_from([b"", b"", b"a: b\r\n", b"a:b\r\nc: d e\r\n"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A payload in chunks, and the payload."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5))
    wire = b""
    for part in parts:
        line = draw(SIZES) % len(part) + draw(EXTENSIONS)
        wire += line.encode() + b"\r\n" + part + b"\r\n"
    return wire + b"0\r\n" + draw(TRAILERS) + b"\r\n", b"".join(parts)


@settings(max_examples=200, deadline=None)
@given(bodies(), st.binary(max_size=9), st.integers(0, 2**32))
def test_decodes_what_was_encoded(body: tuple[bytes, bytes], rest: bytes, seed: int) -> None:
    """Any payload in any chunks comes back, and what follows is left, however it is cut."""
    wire, payload = body
    assert outcome(cut(wire + rest, seed)) == (payload, rest, True)
    assert h11_body(wire + rest) == (payload, rest, True)
    agree_on_body(wire, (payload, b"", True))


@settings(max_examples=600, deadline=None)
@given(bodies(), st.data(), st.integers(0, 2**32))
def test_agrees_on_spoiled_bodies(body: tuple[bytes, bytes], data: st.DataObject, seed: int) -> None:
    """A spoiled body is decoded only where both oracles decode, and then to the same payload and end."""
    wire = body[0]
    at = data.draw(st.integers(0, len(wire) - 1))
    put = data.draw(st.sampled_from(RUDE))
    wire = wire[:at] + put + wire[at + data.draw(st.integers(0, 2)) :]
    found = outcome([wire])
    assert outcome(cut(wire, seed)) == found
    event("refused" if found is None else "complete" if found[2] else "more")
    if found is not None:
        agree_on_body(wire, found)
