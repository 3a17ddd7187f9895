"""h11 and httptools as oracles: heads are accepted only where both accept, and read as both read them.

What we accept beyond them is named here: an empty line before a request (RFC 9112 2.2; h11 does not skip it)
and methods that nobody registered (RFC 9110 9.1; httptools has a list).
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from edge._fast.http import head
from tests.fast.peers import METHODS, agree_on_head

TOKENS = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=20).map(str.encode)
VALUES = st.one_of(
    st.sampled_from([b"", b"a", b"a b", b"a\tb", b"a, b;q=1", b"\xe9\xff", b'"q"', b"x" * 40]),
    st.binary(max_size=24).map(lambda raw: bytes(c for c in raw if c == 9 or 32 <= c != 127).strip(b" \t")),
)
SPACE = st.sampled_from([b" ", b"", b"  ", b"\t", b" \t "])
TARGETS = [b"/", b"/v1/completions", b"/a?b=c&d", b"//", b"/%41%0a/..", b"/a;b=c,d?e=[f]"]
LENGTHS = [b"Content-Length: 36", b"content-length:036", b"Content-Length: 0"]
CODINGS = [b"Transfer-Encoding: chunked", b"TRANSFER-encoding:\tChunked "]
CONNECTIONS = [
    *(b"", b"", b"Connection: close", b"Connection: keep-alive", b"connection: Keep-Alive, x-a"),
    b"Connection: upgrade, close",
]
RUDE = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b"\0", b"\x0b", b"\x7f", b"\xa0"),
    *(b"\r\n ", b" :", b"%", b"#", b"1", b"+", b"-", b"0x", b"a", b"chunked", b"HTTP/1.0"),
    *(b"HTTP/2.0", b"HTTP/1.1 "),
    *(b"\r\nHost: b", b"\r\nContent-Length: 36", b"\r\nContent-Length: 5", b"\r\nTransfer-Encoding: chunked"),
    *(b"\r\nTransfer-Encoding: gzip, chunked", b"\r\nTransfer-Encoding: identity", b"\r\nUpgrade: h2c"),
    *(b"\r\nExpect: 100-continue", b"\r\nConnection: upgrade", b"\r\na: b", b"\r\nContent-Length:"),
]


@st.composite
def fields(draw: st.DrawFn, minor: int) -> bytes:
    """Field lines in some order, framing and Connection among them."""
    others = draw(st.lists(st.tuples(TOKENS.map(lambda name: b"z" + name), SPACE, VALUES, SPACE), max_size=6))
    lines = [name + b":" + before + value + after for name, before, value, after in others]
    framings = [b"", *LENGTHS, *CODINGS] if minor else [b"", *LENGTHS]
    lines += [draw(st.sampled_from(framings)), draw(st.sampled_from(CONNECTIONS))]
    return b"".join(line + b"\r\n" for line in draw(st.permutations(lines)) if line)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A head that is in order."""
    method, target = draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS))
    minor = draw(st.integers(0, 1))
    lines = draw(fields(minor))
    return b"%b %b HTTP/1.%d\r\nHost: example.com:80\r\n%b\r\n" % (method, target, minor, lines)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A head that is in order."""
    status = draw(st.sampled_from([b"200 OK", b"404 Not Found", b"500 ", b"201", b"302 \xe9", b"429 Too"]))
    minor = draw(st.integers(0, 1))
    return b"HTTP/1.%d %b\r\n%b\r\n" % (minor, status, draw(fields(minor)))


@st.composite
def spoiled(draw: st.DrawFn, heads: st.SearchStrategy[bytes]) -> bytes:
    """A head into which something was put, or from which something was cut."""
    data = draw(heads)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.sampled_from(RUDE)) + data[at + draw(st.integers(0, 2)) :]
    return data


def outcome(data: bytes, response: bool) -> dict[str, Any] | str | None:
    """A dict, the name of a refusal, or None for more."""
    try:
        return head.response_head(data) if response else head.request_head(data)
    except head.HeadError as error:
        return error.result


def any_cut(data: bytes, response: bool, seed: int) -> dict[str, Any] | str | None:
    """The outcome, which is the same byte by byte and at random cuts."""
    whole = outcome(data, response)
    source = random.Random(seed)
    for cuts in (range(len(data)), sorted(source.randrange(len(data) + 1) for _ in range(4))):
        results = [outcome(data[:cut], response) for cut in cuts] + [whole]
        decided = next((i for i, result in enumerate(results) if result is not None), len(results))
        assert all(result == whole for result in results[decided:])
    return whole


def check(data: bytes, response: bool, seed: int) -> bool:
    """Whether we accept; where we do, both oracles accept and agree."""
    found = any_cut(data, response, seed)
    event("accepted" if isinstance(found, dict) else f"refused: {found}")
    if isinstance(found, dict):
        agree_on_head(data, found, response)
    return isinstance(found, dict)


@settings(max_examples=250, deadline=None)
@given(requests(), st.integers(0, 2**32))
def test_requests_in_order(data: bytes, seed: int) -> None:
    """A request in order is accepted, and read as both oracles read it."""
    assert check(data, False, seed)


@settings(max_examples=250, deadline=None)
@given(responses(), st.integers(0, 2**32))
def test_responses_in_order(data: bytes, seed: int) -> None:
    """A response in order is accepted, and read as both oracles read it."""
    assert check(data, True, seed)


@settings(max_examples=600, deadline=None)
@given(spoiled(requests()), st.integers(0, 2**32))
def test_spoiled_requests(data: bytes, seed: int) -> None:
    """A spoiled request is accepted only where both oracles accept, and then read as they read it."""
    check(data, False, seed)


@settings(max_examples=600, deadline=None)
@given(spoiled(responses()), st.integers(0, 2**32))
def test_spoiled_responses(data: bytes, seed: int) -> None:
    """A spoiled response is accepted only where both oracles accept, and then read as they read it."""
    check(data, True, seed)


@pytest.mark.parametrize("response", [False, True])
def test_bytes_in_every_place(response: bool) -> None:
    """Any byte put in any place is accepted only where both oracles accept, and then read as they read it."""
    start = b"HTTP/1.1 200 OK\r\n" if response else b"GET /a?b HTTP/1.1\r\n"
    data = start + b"Host: a\r\nConnection: close\r\nContent-Length: 36\r\n\r\n"
    accepted = 0
    for at in range(len(data)):
        for byte in range(256):
            for rest in (data[at:], data[at + 1 :]):
                changed = data[:at] + bytes([byte]) + rest
                found = outcome(changed, response)
                if isinstance(found, dict):
                    accepted += 1
                    if at % 5 == byte % 5 or not 32 < byte < 127:
                        agree_on_head(changed, found, response)
    assert accepted > 1000
