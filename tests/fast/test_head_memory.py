"""No parser reads behind what it was given: inputs end where the next page may not be touched."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge._fast.http import chunk, head

SDK = (
    b"POST /v1/chat/completions?a=%41 HTTP/1.1\r\nHost: [::1]:8080\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Connection: keep-alive, x-a\r\nX-Stainless-Retry-Count: 0\r\nAuthorization: Bearer sk-0123456789\r\n"
    b"X-Forwarded-For: 10.1.2.3\r\nCF-Ray: a\r\nx-edge-a: b\r\nTE: trailers\r\nx: \r\n"
    b"Expect: 100-continue\r\nContent-Length: 12\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 10:00:00 GMT\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: close\r\nx-request-id: req_0123456789abcdef0123456789abcdef\r\nRetry-After: 1\r\n\r\n"
)
PROT_NONE = 0
CHUNKS = b"5;a=b\r\nhello\r\n00A\r\n0123456789\r\n0\r\ntrailer: value\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"

Place = Callable[[bytes], memoryview]


@pytest.fixture
def at_the_edge() -> Iterator[Place]:
    """Puts bytes right before a page that may not be read."""
    size = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * size)
    libc = ctypes.CDLL(None, use_errno=True)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    guarded = ctypes.c_void_p(start + size)
    if libc.mprotect(guarded, ctypes.c_size_t(size), PROT_NONE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def place(data: bytes) -> memoryview:
        area[size - len(data) : size] = data
        return memoryview(area)[size - len(data) : size]

    yield place
    libc.mprotect(guarded, ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE)


def outcome(parse: Callable[..., Any], data: Any) -> Any:
    """What the parser returns, or the text of what it raises."""
    try:
        return parse(data)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("data", [SDK, ANSWER, PREFACE, CHUNKS])
@pytest.mark.parametrize(
    "parse",
    [head.request_head, head.response_head, lambda data: chunk.decode_chunked([data])],
    ids=["request", "response", "chunked"],
)
def test_reads_nothing_behind_the_end(at_the_edge: Place, parse: Callable[..., Any], data: bytes) -> None:
    """Every prefix of an input gives the same at the end of a page as anywhere else."""
    for end in range(len(data) + 1):
        assert outcome(parse, at_the_edge(data[:end])) == outcome(parse, data[:end])


def test_the_guard_guards(at_the_edge: Place) -> None:
    """The page behind an input is really out of bounds, so that a read there would end this process."""
    view = at_the_edge(b"a")
    behind = ctypes.addressof(ctypes.c_char.from_buffer(view)) + 1
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)       # no traceback, no report of a sanitizer
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(behind, 1)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV
