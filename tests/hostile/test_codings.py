"""Bodies that come compressed: read within the bounds of others, or refused; what goes on is the body itself."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator

import pytest

from tests.hostile.test_edges import Upstream
from tests.support.gateway import Gateway, configuration
from tests.support.talk import Talk, ask, asked, chat, in_contract, request

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY_BYTES = 4 << 20
PLAIN = json.dumps(asked(text="coded " * 50)).encode()
LONG = json.dumps(asked(text="".join(f"{i:x}" for i in range(500_000)))).encode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """The provider behind."""
    with Upstream() as provider:
        yield provider


@pytest.fixture(scope="module")
def decoding(upstream: Upstream) -> Iterator[Gateway]:
    """The gateway before it, which takes bodies of 4 MB."""
    with Gateway(configuration(upstream.url, limits={"body_bytes": BODY_BYTES})) as running:
        yield running
        assert running.metric("edge_requests_total", condition="internal_error") == 0
        assert running.metric("edge_worker_restarts_total") == 0


def coded(body: bytes, coding: str, *, chunked: bool = False, path: str = "/v1/chat/completions") -> bytes:
    """A request with a body as it stands, said to be in a coding."""
    if not chunked:
        return request(body, path=path, content_encoding=coding)
    head, _, _ = request(b"", path=path, content_encoding=coding).replace(
        b"content-length: 0", b"transfer-encoding: chunked").partition(b"\r\n\r\n")
    half = len(body) // 2
    return head + b"\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (body[:half], body[half:])
                                         if each) + b"0\r\n\r\n"


def gz(body: bytes) -> bytes:
    """gzip."""
    return gzip.compress(body, 6)


GOOD = {
    "gzip": ("gzip", gz(PLAIN), PLAIN), "letter case": ("GZip", gz(PLAIN), PLAIN),
    "x-gzip": ("x-gzip", gz(PLAIN), PLAIN),
    "deflate": ("deflate", zlib.compress(PLAIN), PLAIN), "zstd": ("zstd", zstd.compress(PLAIN), PLAIN),
    "identity": ("identity", PLAIN, PLAIN), "Identity": ("Identity", PLAIN, PLAIN),
    "a list": (" , gzip,identity", gz(PLAIN), PLAIN),
    "members": ("gzip", gz(PLAIN[:99]) + gz(b"") + gz(PLAIN[99:]), PLAIN),
    "frames": ("zstd", zstd.compress(PLAIN[:99]) + zstd.compress(PLAIN[99:]), PLAIN),
    "long": ("gzip", gz(LONG), LONG), "long zstd": ("zstd", zstd.compress(LONG), LONG),
    "long deflate": ("deflate", zlib.compress(LONG), LONG),
}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", GOOD)
def test_coded_bodies_are_read(decoding: Gateway, upstream: Upstream, name: str, chunked: bool) -> None:
    """The provider gets the body itself, with its length and no word of a coding; pipelined requests have theirs."""
    coding, body, plain = GOOD[name]
    with Talk(decoding.port) as talk:
        talk.send(coded(body, coding, chunked=chunked) + chat(text="next"))
        found = talk.answer()
        assert found.status == talk.answer().status == 200
    said, = (head for head in upstream.asked if (found.header("x-request-id") or "none").encode() in head)
    assert f"content-length: {len(plain)}".encode() in said.lower()
    assert b"content-encoding" not in said.lower()


BOMB = gz(b" " * (64 << 20))
BAD = {
    "no gzip": ("gzip", PLAIN, "body_unreadable"), "no zstd": ("zstd", PLAIN, "body_unreadable"),
    "no zlib": ("deflate", PLAIN, "body_unreadable"), "cut": ("gzip", gz(PLAIN)[:-9], "body_unreadable"),
    "cut in the checksum": ("gzip", gz(PLAIN)[:-1], "body_unreadable"),
    "cut zstd": ("zstd", zstd.compress(PLAIN)[:-1], "body_unreadable"),
    "checksum": ("gzip", gz(PLAIN)[:-8] + b"\0\0\0\0" + gz(PLAIN)[-4:], "body_unreadable"),
    "length": ("gzip", gz(PLAIN)[:-4] + b"\0\0\0\0", "body_unreadable"),
    "garbage behind": ("gzip", gz(PLAIN) + b"garbage", "body_unreadable"),
    "garbage behind zstd": ("zstd", zstd.compress(PLAIN) + b"garbage", "body_unreadable"),
    "garbage behind deflate": ("deflate", zlib.compress(PLAIN) * 2, "body_unreadable"),
    "many members": ("gzip", gz(b"") * 10_000, "body_unreadable"),
    "bomb": ("gzip", BOMB, "body_too_large"), "zstd bomb": ("zstd", zstd.compress(b" " * (64 << 20)), "body_too_large"),
    "small bomb": ("gzip", gz(b" " * (3 << 20)), "body_too_large"),
    "twice": ("gzip, gzip", gz(gz(PLAIN)), "content_coding"), "br": ("br", PLAIN, "content_coding"),
    "two fields": ("gzip\r\ncontent-encoding: zstd", PLAIN, "content_coding"),
    "nonsense": ("\"gzip\"", gz(PLAIN), "content_coding"), "compress": ("compress", PLAIN, "content_coding"),
    "JSON that is none": ("gzip", gz(b"{"), "json_invalid"), "empty": ("gzip", gz(b""), "json_invalid"),
}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_coded_bodies_that_are_refused(decoding: Gateway, name: str, chunked: bool) -> None:
    """A damaged body is 400, one that becomes too much 413, an unknown coding 415 with those that are known."""
    coding, body, condition = BAD[name]
    found = in_contract(ask(decoding.port, coded(body, coding, chunked=chunked)), condition)
    assert found.header("accept-encoding") == ("gzip, deflate, zstd" if condition == "content_coding" else None)
    assert ask(decoding.port, chat()).status == 200


def test_files_are_decoded_as_well(decoding: Gateway, upstream: Upstream) -> None:
    """What is relayed as it is comes to the provider without a coding, too."""
    found = ask(decoding.port, coded(gz(PLAIN), "gzip", path="/v1/moderations"))
    assert found.status == 200 and upstream.field("content-length") == str(len(PLAIN))


def test_who_leaves_while_it_is_decoded(decoding: Gateway) -> None:
    """A client that has left is decoded for no further."""
    for _ in range(5):
        with Talk(decoding.port) as talk:
            talk.send(coded(gz(LONG), "gzip"))
    assert ask(decoding.port, coded(gz(LONG), "gzip")).status == 200
