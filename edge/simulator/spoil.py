"""The faults of what is said, worked into an Answer before it is framed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from itertools import islice

from edge.simulator.answer import BODILESS, Answer, Call
from edge.simulator.errors import case_failure, failure
from edge.simulator.faults import Case, Fault, Terminal

Event = Callable[[int, Case | None], bytes]
# Ways to write a terminal event that servers have; readers of streams take most of them.
TERMINALS: dict[Terminal, Callable[[bytes], bytes]] = {
    "blank": lambda event: event[:-2] + b" \n\n",
    "tight": lambda event: event.replace(b"data: ", b"data:"),
    "open": lambda event: event[:-1],
    "cr": lambda event: event.replace(b"\n", b"\r"),
    "crlf": lambda event: event.replace(b"\n", b"\r\n"),
}


def replaced(call: Call) -> Answer | None:
    """The answer that a fault gives in place of the endpoint's own; None: the endpoint shall answer."""
    fault = call.fault
    if fault.body is not None:
        kind = b"application/json" if fault.body[:1] in (b"{", b"[") else b"text/plain; charset=utf-8"
        return Answer(fault.status or 200, fault.body, kind)
    if fault.error is not None:
        return case_failure(call.request, fault.error)
    if fault.status is not None and fault.status >= 300:
        return failure(call.request, fault.status)
    if fault.error_in_200 is not None:
        answer = case_failure(call.request, fault.error_in_200)
        answer.status = 200
        return answer
    return None


def spoiled(call: Call, answer: Answer) -> Answer:
    """The same answer with the fault's changes to its headers, body and events. Works in place."""
    fault = call.fault
    if fault.status is not None:
        answer.status = fault.status
    if fault.type is not None:
        answer.content_type = fault.type
    for name, value in ((b"location", fault.location), (b"content-encoding", fault.content_encoding)):
        if value is not None:
            answer.headers.append((name, value))
    if fault.retry_after is not None:
        unit, number = fault.retry_after
        name = b"retry-after-ms" if unit == "ms" else b"retry-after"
        date = formatdate(call.request.at + number, usegmt=True)
        answer.headers.append((name, (date if unit == "date" else str(number)).encode()))
    if fault.should_retry is not None:
        answer.headers.append((b"x-should-retry", fault.should_retry.encode()))
    if fault.empty:
        answer.body = b""
    if fault.malformed == "json":
        answer.body = _broken_off(answer.body)
    if answer.status in BODILESS:
        answer.body, answer.events = b"", None
    if answer.events is not None:
        answer.events = _events(call, answer, answer.events)
        if fault.terminal is not None:
            answer.terminal = tuple(TERMINALS[fault.terminal](event) for event in answer.terminal)
        if fault.empty or fault.no_terminal or _breaking(fault, answer) is not None:
            answer.terminal = ()
    return answer


def _events(call: Call, answer: Answer, events: Iterable[bytes]) -> Iterable[bytes]:
    fault = call.fault
    if fault.empty:
        return ()
    if fault.malformed == "json":
        events = _second_broken(events)
    if fault.event is not None:
        events = _second_said(events, b"data: %b\n\n" % fault.event)
    breaking = _breaking(fault, answer)
    if breaking is not None:
        make, (count, case) = breaking
        return _with_error(islice(events, count), lambda sent: make(sent, case))
    return events


def _breaking(fault: Fault, answer: Answer) -> tuple[Event, tuple[int, Case | None]] | None:
    """What makes the event with which the stream breaks off, and after how many others in which case."""
    for make, at in ((answer.error_event, fault.error_event), (answer.failed, fault.response_failed)):
        if make is not None and at is not None:
            return make, at
    return None


def _second_said(events: Iterable[bytes], event: bytes) -> Iterator[bytes]:
    """One more event behind the first."""
    for number, other in enumerate(events):
        yield other
        if number == 0:
            yield event


def _second_broken(events: Iterable[bytes]) -> Iterator[bytes]:
    """The second event's data breaks off: the first shows that the stream had begun well."""
    for number, event in enumerate(events):
        yield _broken_off(event) + b"\n\n" if number == 1 else event


def _with_error(events: Iterator[bytes], error: Callable[[int], bytes]) -> Iterator[bytes]:
    sent = 0
    for event in events:
        yield event
        sent += 1
    yield error(sent)


def _broken_off(text: bytes) -> bytes:
    return text[:len(text) * 2 // 3]
