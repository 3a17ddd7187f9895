"""The faults of what is said, worked into an Answer before it is framed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate
from itertools import islice

from edge.simulator.answer import Answer, Call
from edge.simulator.errors import case_failure, failure


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
    if answer.events is not None:
        answer.events = _events(call, answer, answer.events)
        if fault.empty or fault.no_terminal or fault.error_event is not None:
            answer.terminal = ()
    return answer


def _events(call: Call, answer: Answer, events: Iterable[bytes]) -> Iterable[bytes]:
    fault = call.fault
    if fault.empty:
        return ()
    if fault.malformed == "json":
        events = _second_broken(events)
    if fault.error_event is not None and answer.error_event is not None:
        make, (count, case) = answer.error_event, fault.error_event
        return _with_error(islice(events, count), lambda sent: make(sent, case))
    return events


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
