"""What a client may send, how long it may take, and how many wait."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from edge.config.sections.base import Count, Patience, Period, Seconds, Share, Strict, about, wrong
from edge.config.sections.maximums import MAX_HEAD
from edge.values.snapshot import Bounds

_BOUNDS = Bounds()
_LEAST_MEMORY = 1 << 18     # with less, hardly a request is served


def _memory(size: int) -> int:
    if 0 < size < _LEAST_MEMORY:
        raise wrong(f"must be 0 or at least {_LEAST_MEMORY}, got {size}",
                    "it counts bytes, for example `memory_bytes: 2147483648`; 0 is half of the machine's")
    return size


class Limits(Strict):
    """What a client may send, and how long it may take."""

    head_bytes: Annotated[int, Field(ge=1024, le=MAX_HEAD), about(
        "request line and headers", 32768)] = _BOUNDS.head_bytes
    target_bytes: Annotated[int, Field(ge=256, le=MAX_HEAD), about(
        "path and query", 8192)] = _BOUNDS.target_bytes
    body_bytes: Annotated[int, Field(ge=1, le=1 << 40), about("request body", 33554432)] = _BOUNDS.body_bytes
    upload_bytes: Annotated[int, Field(ge=0, le=1 << 50), about(
        "of a file on a relayed path, its length told: beyond body_bytes it is not held", 1073741824)
        ] = _BOUNDS.upload_bytes
    head_timeout: Annotated[Patience, about("seconds for a request's head", 10)] = _BOUNDS.head_timeout
    body_timeout: Annotated[Patience, about(
        "seconds that a body may pause, or the reading of an answer", 60)] = _BOUNDS.body_timeout
    body_rate: Annotated[int, Field(ge=0, le=10**9), about(
        "bytes per second that a client must send or take on average; 0 for any", 256)] = _BOUNDS.body_rate
    keep_alive: Annotated[Seconds, about("seconds a connection may idle", 75)] = _BOUNDS.keep_alive
    connections: Annotated[Count, about("client connections per worker", 16384)] = _BOUNDS.connections
    address_connections: Annotated[int, Field(ge=0, le=1 << 30), about(
        "of them, from one address (IPv6: one /64); 0 for no limit", 100)] = _BOUNDS.address_connections
    memory_bytes: Annotated[int, Field(ge=0, le=1 << 50), AfterValidator(_memory), about(
        "held for requests and answers, per worker; 0: half of the machine's, shared by the workers", 0)
        ] = _BOUNDS.memory_bytes


class Queue(Strict):
    """Requests that wait for a connection to a provider."""

    queue_size: Annotated[int, Field(ge=0, le=1 << 20), about(
        "per worker and provider; 0: nobody waits", 1024)] = _BOUNDS.queue
    timeout: Annotated[Period, about("seconds that one waits at most", 10)] = _BOUNDS.queue_timeout


class Overload(Strict):
    """Shares of what the host has, from which on requests are refused."""

    memory: Annotated[Share, about(
        "of the control group's limit, or the machine's memory, pages that the kernel can take back left out; 0: never",
        0.95)] = 0.0
    memory_stalls: Annotated[Share, about(
        "of ten seconds, in which work waited for memory (memory.pressure); 0: never", 0.2)] = 0.0
    disk: Annotated[Share, about("of the file systems that store and access_log are on; 0: never", 0.98)] = 0.0
