"""From an Answer to steps: what is written when, with the faults of the wire worked in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from email.utils import formatdate
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from itertools import chain, count

from edge.simulator.answer import BODILESS, Answer, Call
from edge.simulator.faults import NO_FAULT, Fault
from edge.simulator.headers import own_headers


class End(Enum):
    """How a connection ends: with a FIN, or with a RST."""

    CLOSE = "close"
    RESET = "reset"


Piece = bytes | float       # bytes to write, or seconds to wait (inf: for ever)
Step = Piece | End

REASONS = {status.value: status.phrase.encode() for status in HTTPStatus} | {529: b"Overloaded"}
LAST_CHUNK = b"0\r\n\r\n"
BROKEN_CHUNK = b"zz\r\n"
BROKEN_STATUS_LINE = b"HTTP/1.1 20O OK\r\n"      # the letter O for the digit
# Heads before the answer's own: 103 is RFC 8297, 100 RFC 9110 15.2.1.
INTERIM = (b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")
PACE = 0.001                        # seconds between two pieces of what has no end


def steps(call: Call, answer: Answer, latency: float, delay: float) -> Iterator[Step]:
    """All that happens on the wire for this answer. `latency` and `delay` in seconds."""
    fault, request = call.fault, call.request
    if fault.hang:
        return iter((math.inf,))
    chunked = ((answer.events is not None or fault.malformed == "chunk")
               and fault.malformed != "length" and request.version == "1.1")
    head = _head(call, answer, chunked, latency)
    if answer.events is None and not chunked and fault.stall is None:
        found: Iterator[Step] = iter((head + answer.body + b"x" * fault.extra_bytes,))
    else:
        found = _framed(head, _pieces(answer, fault, delay), chunked, fault)
    if latency:
        found = chain((latency,), found)
    if fault is NO_FAULT:
        return found
    if fault.endless_head:
        found = _endless_head(head)
    if fault.interim is not None:
        found = chain(_interim(fault.interim), found)
    if fault.drip is not None:
        found = _dripped(found, *fault.drip)
    if fault.cut is not None:
        found = _ended(found, fault.cut, End.CLOSE)
    if fault.reset is not None:
        found = _ended(found, fault.reset, End.RESET)
    return found


def _head(call: Call, answer: Answer, chunked: bool, latency: float) -> bytes:
    request, malformed = call.request, call.fault.malformed
    line = b"HTTP/1.1 %d %s\r\n" % (answer.status, REASONS.get(answer.status, b"Unknown"))
    if malformed == "head":
        line = BROKEN_STATUS_LINE
    own = own_headers(request, latency, call.fault.limit_reset)
    length = len(answer.body)
    if chunked:
        framing = b"transfer-encoding: chunked\r\n"
    elif malformed == "length":
        framing = b"content-length: %d\r\ncontent-length: %d\r\n" % (length, length + 7)
    else:
        framing = b"" if answer.events is not None or answer.status in BODILESS else b"content-length: %d\r\n" % length
    if answer.events is not None:
        framing += b"cache-control: no-cache\r\n"
    if not request.keep_alive:
        framing += b"connection: close\r\n"
    extra = b"".join(b"%s: %s\r\n" % header for header in answer.headers)
    if answer.content_type:
        extra = b"content-type: %s\r\n%s" % (answer.content_type, extra)
    return b"%sdate: %s\r\nserver: edge-simulator\r\n%s%s%s\r\n" % (line, _date(int(request.at)), extra, own, framing)


@lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _pieces(answer: Answer, fault: Fault, delay: float) -> Iterator[Piece]:
    """The body's parts and the pauses between. A plain body's parts are its halves."""
    half = len(answer.body) // 2
    plain = answer.events is None
    parts = (answer.body[:half],) if answer.events is None else answer.events
    last = (answer.body[half:],) if plain else answer.terminal
    after, pause = fault.stall or (-1, 0.0)
    sent = 0
    for sent, part in enumerate(parts, 1):
        if sent - 1 == after:
            yield pause
        elif delay and sent > 1:
            yield delay
        yield part
    if after >= sent:
        yield pause
    for part in last:
        if delay:
            yield delay
        yield part
    if fault.hold is not None and not plain:
        yield fault.hold


def _framed(head: bytes, pieces: Iterator[Piece], chunked: bool, fault: Fault) -> Iterator[Step]:
    yield head
    broken = fault.malformed == "chunk"
    for piece in pieces:
        if isinstance(piece, float) or not chunked:
            yield piece
        elif piece:                         # an empty chunk would be the last one
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
            if broken:
                yield BROKEN_CHUNK
                broken = False
    # In one piece: a surplus that came later might meet the next request.
    if end := LAST_CHUNK * chunked + b"x" * fault.extra_bytes:
        yield end


def _interim(number: int) -> Iterator[Step]:
    for at in range(number) if number else count():
        yield INTERIM[at % 2]
        if not number:
            yield PACE


def _endless_head(head: bytes) -> Iterator[Step]:
    yield head.removesuffix(b"\r\n")
    for number in count():
        yield b"x-more-%d: %b\r\n" % (number, b"x" * 100)
        yield PACE


def _dripped(found: Iterator[Step], size: int, pause: float) -> Iterator[Step]:
    for step in found:
        if isinstance(step, bytes):
            for at in range(0, len(step), size):
                yield step[at:at + size]
                yield pause
        else:
            yield step


def _ended(found: Iterator[Step], left: int, end: End) -> Iterator[Step]:
    """The first `left` bytes, then the end of the connection."""
    for step in found:
        if isinstance(step, bytes):
            if len(step) >= left:
                break
            left -= len(step)
        yield step
    else:
        step = b""
    if left and isinstance(step, bytes):
        yield step[:left]
    yield end
