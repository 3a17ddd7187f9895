"""The values between a request and an answer's bytes on the wire: Options, Call, Answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from edge.simulator.faults import NO_FAULT, Case, Fault
from edge.simulator.request import Request
from edge.simulator.uploads import File

JSON = b"application/json"
BODILESS = frozenset({204, 304})        # statuses of answers without a body: RFC 9112 section 6.3


@dataclass(frozen=True, slots=True)
class Options:
    """How a simulator behaves where no fault says otherwise. Times in milliseconds."""

    key: str | None = None          # the only key it accepts; None: any, or none
    latency: float = 0              # before the head
    jitter: float = 0               # at most this much longer
    tokens: int = 16                # of an answer's text
    delay: float = 0                # between two events of a stream
    tls_cert: str | None = None     # PEM files
    tls_key: str | None = None
    capacity: int | None = None     # answers that are worked on at once; None: any number
    queue: int | None = None        # requests that wait for their turn beyond; None: any number


@dataclass(slots=True)
class Call:
    """What an endpoint gets: the request, its JSON body, and how long and how slow to answer."""

    request: Request
    body: Any
    options: Options
    files: dict[str, File] = field(default_factory=dict)
    fault: Fault = NO_FAULT

    @property
    def tokens(self) -> int:
        """How long the answer's text shall be."""
        return self.options.tokens if self.fault.tokens is None else self.fault.tokens

    def bound(self, *names: str) -> int | None:
        """The client's own bound on the answer's tokens, from the first of these members that it set."""
        found = [self.body[name] for name in names if isinstance(self.body.get(name), int)]
        return found[0] if found else None


@dataclass(slots=True)
class Answer:
    """An answer before framing. With `events` it is a stream, else `body` is all of it.

    `terminal` are the events that end a stream well; `error_event` makes the dialect's in-band error for a
    stream that has sent the given number of events, in the given case or the dialect's likeliest; so does
    `failed` the last event of a stream that tells of its failure in another way.
    """

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    events: Iterable[bytes] | None = None
    terminal: tuple[bytes, ...] = ()
    error_event: Callable[[int, Case | None], bytes] | None = None
    failed: Callable[[int, Case | None], bytes] | None = None
