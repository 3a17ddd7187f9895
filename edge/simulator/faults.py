"""The language of faults: what a simulated provider can be told to do wrong.

A spec is a list of items separated by `;`, such as `status=529;retry-after=7` or `stall=3`. The table
`FAULTS` is the whole language: the parser, the help of a bad spec and `edge simulate --list-faults`
all come from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

# What a provider may refuse a request for, each with a status and a body of its own.
Case = Literal["rate", "quota", "billing", "key", "permission", "region", "context", "overloaded", "server", "model"]
Malformed = Literal["head", "chunk", "json", "length"]
Terminal = Literal["blank", "tight", "open", "cr", "crlf"]


class FaultError(ValueError):
    """A spec that is not in the language; its text says which item, and why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A parsed spec. Times in seconds; the field of an item has its name, with `_` for `-`."""

    status: int | None = None
    error: Case | None = None
    location: bytes | None = None
    type: bytes | None = None
    content_encoding: bytes | None = None
    retry_after: tuple[Literal["seconds", "ms", "date"], int] | None = None
    limit_reset: float | None = None
    should_retry: Literal["true", "false"] | None = None
    error_in_200: Case | None = None
    empty: bool = False
    big: int = 0
    tokens: int | None = None
    delay: float | None = None
    latency: float | None = None
    jitter: float | None = None
    early: bool = False
    interim: int | None = None
    endless_head: bool = False
    hang: bool = False
    drip: tuple[int, float] | None = None
    stall: tuple[int, float] | None = None
    cut: int | None = None
    reset: int | None = None
    refuse: float | None = None
    mute: float | None = None
    close_idle: float | None = None
    malformed: Malformed | None = None
    extra_bytes: int = 0
    error_event: tuple[int, Case | None] | None = None
    response_failed: tuple[int, Case | None] | None = None
    event: bytes | None = None
    terminal: Terminal | None = None
    no_terminal: bool = False
    hold: float | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the language. `default` is the value of the bare name; None: the name must have a value."""

    name: str
    form: str
    meaning: str
    read: Callable[[str], Any] = bool
    default: str | None = None

    @property
    def field(self) -> str:
        """The name of its field of a Fault."""
        return self.name.replace("-", "_")


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise FaultError(f"wants a whole number from {low} to {high}")
        return int(text)
    return read


_COUNT = _whole(0, 1 << 28)


def _milliseconds(text: str) -> float:
    return _whole(0, 3_600_000)(text) / 1000


def _counted(low: int, pause: float) -> Callable[[str], tuple[int, float]]:
    def read(text: str) -> tuple[int, float]:
        count, comma, time = text.partition(",")
        return _whole(low, 1 << 28)(count), _milliseconds(time) if comma else pause
    return read


def _retry_after(text: str) -> tuple[str, int]:
    unit, colon, number = text.partition(":")
    if not colon:
        return "seconds", _COUNT(text)
    if unit not in ("ms", "date"):
        raise FaultError("wants N, ms:N or date:N")
    return unit, _COUNT(number)


def _visible(text: str) -> bytes:
    if not (text.isascii() and text.isprintable()):
        raise FaultError("wants visible ASCII characters")
    return text.encode()


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise FaultError(f"wants {', '.join(names[:-1])} or {names[-1]}")
        return text
    return read


_CASES: tuple[str, ...] = get_args(Case)
_case = _one_of(_CASES)


def _error_event(text: str) -> tuple[int, str | None]:
    count, comma, case = text.partition(",")
    return _COUNT(count), _case(case) if comma else None


FAULTS: tuple[Item, ...] = (
    Item("status", "status=N", "answer with this status, an error in the provider's shape", _whole(200, 599)),
    Item("error", "error=CASE", f"answer with the provider's own status and error for a case: {', '.join(_CASES)}",
         _case),
    Item("location", "location=URL", "add Location, as in `status=307;location=https://elsewhere.example/`", _visible),
    Item("type", "type[=TEXT]", "say this Content-Type whatever the answer is, or none, as in "
         "`type=text/html;body=<p>Sign in</p>` or, of a stream, `type=text/plain`", _visible, ""),
    Item("content-encoding", "content-encoding=NAME", "say this Content-Encoding of bytes that have none", _visible),
    Item("retry-after", "retry-after=N | ms:N | date:N",
         "add Retry-After: N seconds; or retry-after-ms; or an HTTP date N seconds from now", _retry_after),
    Item("limit-reset", "limit-reset=MS", "tell in the provider's own rate limit headers that no request is left, "
         "and that there are some again in MS milliseconds", _milliseconds),
    Item("should-retry", "should-retry=true | false", "add x-should-retry, which SDKs and gateways obey",
         _one_of(("true", "false"))),
    Item("error-in-200", "error-in-200[=CASE]", "answer 200 with an error object (server) for a body", _case, "server"),
    Item("empty", "empty", "answer 200 with no body, or a stream without events"),
    Item("big", "big=N", "make the answer's text N bytes long", _COUNT),
    Item("tokens", "tokens=N", "make the answer's text N tokens long: N events of a stream", _COUNT),
    Item("delay", "delay=MS", "wait this long between two events of a stream", _milliseconds),
    Item("latency", "latency=MS", "wait this long before the head", _milliseconds),
    Item("jitter", "jitter=MS", "wait up to this much longer before the head", _milliseconds),
    Item("early", "early", "answer as soon as the request's head is in, before its body "
         "(by header, or by a rule that does not match on the model)"),
    Item("interim", "interim[=N]", "send N heads (1), 103 and 100 in turn, before the answer; 0: for ever",
         _COUNT, "1"),
    Item("endless-head", "endless-head", "begin an answer whose head has one more line for ever"),
    Item("hang", "hang", "read the request and never answer"),
    Item("drip", "drip[=N[,MS]]", "send N bytes (1) at a time, one piece every MS milliseconds (10)",
         _counted(1, 0.01), "1"),
    Item("stall", "stall[=N[,MS]]",
         "stop after N events (1), at the latest before the last, for MS milliseconds or for ever; "
         "a plain body's events are its halves", _counted(0, math.inf), "1"),
    Item("cut", "cut=N", "close the connection after N bytes of the answer, head included", _COUNT),
    Item("reset", "reset=N", "reset the connection after N bytes of the answer, head included", _COUNT),
    Item("refuse", "refuse[=MS]", "reset every connection and refuse new ones for MS milliseconds (1000)",
         _milliseconds, "1000"),
    Item("mute", "mute[=MS]", "reset every connection; let new ones connect, and neither shake hands with them for "
         "TLS nor read them for MS milliseconds (1000)", _milliseconds, "1000"),
    Item("close-idle", "close-idle[=MS]",
         "answer as if to keep the connection, close it MS milliseconds (0) after unless it is in use again",
         _milliseconds, "0"),
    Item("malformed", "malformed=head | chunk | json | length",
         "a status line that is none; a chunk size that is none; JSON (or an event's data) broken off; "
         "two Content-Lengths that disagree", _one_of(get_args(Malformed))),
    Item("extra-bytes", "extra-bytes[=N]", "send N bytes (8) behind the answer's end",
         _whole(1, 1 << 20), "8"),
    Item("error-event", "error-event[=N[,CASE]]",
         "after N events (1) of a stream send the provider's error event and end", _error_event, "1"),
    Item("response-failed", "response-failed[=N[,CASE]]",
         "after N events (1) of a stream of /v1/responses send `response.failed` and end", _error_event, "1"),
    Item("event", "event=TEXT", "send an event with this for its data after a stream's first", str.encode),
    Item("terminal", "terminal=blank | tight | open | cr | crlf", "write a stream's terminal event with a blank behind "
         "its data; with none before; without its empty line; with other ends of lines", _one_of(get_args(Terminal))),
    Item("no-terminal", "no-terminal", "end a stream cleanly but without its terminal event"),
    Item("hold", "hold[=MS]", "after a stream's last event, keep its framing open for MS milliseconds or for ever",
         lambda text: _milliseconds(text) if text else math.inf, ""),
    Item("body", "body=TEXT", "the answer's body as it is; takes the rest of the spec, so it comes last",
         str.encode),
)

_BY_NAME = {item.name: item for item in FAULTS}
NO_FAULT = Fault()


def table() -> str:
    """The language as aligned text, one item a line."""
    width = max(len(item.form) for item in FAULTS)
    return "\n".join(f"{item.form:<{width}}  {item.meaning}" for item in FAULTS)


def parse(spec: str) -> Fault:
    """The fault that `spec` describes. Raises FaultError."""
    found: dict[str, Any] = {}
    rest = spec
    while rest.strip():
        item, separator, rest = rest.partition(";")
        name, equals, value = item.strip().partition("=")
        if name == "body":
            value, rest = value + separator + rest, ""
        field, read = _read(name, equals, value)
        if field in found:
            raise FaultError(f"`{name}` is given twice")
        found[field] = read
    if not found:
        raise FaultError("the spec is empty")
    return Fault(**found)


def _read(name: str, equals: str, value: str) -> tuple[str, Any]:
    item = _BY_NAME.get(name)
    if item is None:
        raise FaultError(f"`{name}` is no fault")
    if item.read is bool:
        if equals:
            raise FaultError(f"`{name}` takes no value")
        return item.field, True
    if not equals:
        if item.default is None:
            raise FaultError(f"`{name}` needs a value: {item.form}")
        value = item.default
    try:
        return item.field, item.read(value)
    except FaultError as error:
        raise FaultError(f"`{name}={value}`: {error}") from None
