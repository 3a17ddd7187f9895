"""What reached the simulator, for tests and operators to look at: GET /_simulate shows it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from edge.simulator.request import Request

KEPT = 1000                 # requests and cancellations
KEPT_BODY = 1 << 16         # bytes of a request's body


@dataclass(slots=True)
class Record:
    """One request and what became of it. `status` is 0 until an answer begins."""

    request: Request
    model: str | None
    spec: str | None
    stream: bool
    status: int = 0
    outcome: str = "open"           # then: sent, ended (by a fault), cancelled (the client left)
    sent: int = 0                   # bytes of the answer, set at its end
    ended: float = 0.0              # Unix time

    def show(self) -> dict[str, Any]:
        """The record as GET /_simulate gives it; a body is UTF-8 text, and at most KEPT_BODY bytes of it."""
        request = self.request
        return {
            "number": request.number, "connection": request.connection, "at": request.at,
            "method": request.method, "target": request.target, "version": request.version,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
            "size": request.size, "body": request.body[:KEPT_BODY].decode(errors="replace"),
            "model": self.model, "stream": self.stream, "fault": self.spec, "status": self.status,
            "outcome": self.outcome, "sent": self.sent, "ended": self.ended or None}


class Journal:
    """Counts every request, keeps the last ones."""

    def __init__(self) -> None:
        self.requests = 0
        self.by_path: Counter[str] = Counter()
        self.log: deque[Record] = deque(maxlen=KEPT)
        self.cancelled: deque[Record] = deque(maxlen=KEPT)

    def add(self, record: Record) -> None:
        """A request has come."""
        self.requests += 1
        self.by_path[record.request.path] += 1
        self.log.append(record)

    def end(self, record: Record, outcome: str, sent: int, now: float) -> None:
        """Its answer is over."""
        record.outcome, record.sent, record.ended = outcome, sent, now
        record.request.body = record.request.body[:KEPT_BODY]
        if outcome == "cancelled":
            self.cancelled.append(record)

    def show(self, last: int) -> dict[str, Any]:
        """The counters, the last requests, and every answer that a client did not wait for."""
        log = list(self.log)
        return {
            "requests": self.requests, "by_path": dict(self.by_path),
            "cancelled": [{"number": record.request.number, "path": record.request.path,
                           "model": record.model, "stream": record.stream,
                           "at": record.ended, "sent": record.sent} for record in self.cancelled],
            "log": [record.show() for record in log[max(0, len(log) - last):]]}
