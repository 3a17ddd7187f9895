"""Spans for a tracing backend: OTLP in JSON over HTTP (opentelemetry.io/docs/specs/otlp), of the lines of requests.

A request is a span, each of its attempts another one below it, with the names of OpenTelemetry's conventions for HTTP
and for generative AI. A thread sends them, so that a backend that is slow or gone holds up nobody; what does not fit
in the queue meanwhile is lost, and counted. Nothing of a body and no secret is in a line, so none is in a span.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import threading
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson

from edge import __version__
from edge.net.tls import Contexts
from edge.values.snapshot import Tracing

QUEUE = 4096                # requests that wait to be told of
BATCH = 256                 # requests in one message
PAUSE = 1.0                 # seconds in which requests gather
TIMEOUT = 5.0               # seconds that the backend has
LONGEST_PAUSE = 30.0        # seconds between tries while it has nothing to say
ANSWER = 1 << 16            # bytes of an answer that are read
AGAIN = frozenset({429, 502, 503, 504})     # what OTLP/HTTP has sent again
SERVER, CLIENT = 2, 3       # kinds of spans
ERROR = 2                   # status of a span
OPERATIONS = {"chat": "chat", "messages": "chat", "responses": "chat", "embeddings": "embeddings",
              "completions": "text_completion"}
GOOD = frozenset({"ok", "client_closed"})

log = logging.getLogger("edge")


class Counts(Protocol):
    """What becomes of spans and requests."""

    sent: int
    lost: dict[str, int]


class Sender:
    """One backend, and the thread that tells it."""

    def __init__(self, wanted: Tracing, counts: Counts) -> None:
        self.wanted = wanted
        self.counts = counts
        self.url = urlsplit(wanted.endpoint)
        self.fields = {"content-type": "application/json", "user-agent": f"edge/{__version__}",
                       **{name: value.reveal() for name, value in wanted.headers}}
        self.waiting: deque[bytes] = deque()
        self.woken = threading.Event()
        self.ended = False
        self.fault = ""             # why nothing was taken
        self.connection: http.client.HTTPConnection | None = None
        self.thread = threading.Thread(target=self.run, name="traces", daemon=True)
        self.thread.start()

    def put(self, lines: list[bytes]) -> None:
        """Of what does not fit in the newest are lost."""
        room = QUEUE - len(self.waiting)
        self.waiting.extend(lines[:room])
        self.counts.lost["behind"] += max(0, len(lines) - room)
        if len(self.waiting) >= BATCH:
            self.woken.set()

    def end(self) -> None:
        """One more message, and no more."""
        self.ended = True
        self.woken.set()

    def run(self) -> None:
        """The thread's."""
        pause = PAUSE
        while not self.ended:
            self.woken.wait(pause)
            self.woken.clear()
            pause = PAUSE
            while self.waiting:
                lines = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
                wait = self.tell(lines)
                if wait > 0:            # they go first, when it is back
                    self.waiting.extendleft(reversed(lines))
                    pause = min(max(2 * pause, wait), LONGEST_PAUSE)
                    self.woken.clear()
                    break
                if self.ended:
                    break
        self.counts.lost["behind"] += len(self.waiting)

    def tell(self, lines: list[bytes]) -> float:
        """Sends them. Seconds until they are to be sent again; 0.0: that is done with."""
        try:
            found = spans(lines)
            status, wait = self.post(orjson.dumps(message(self.wanted.service, found)))
        except (OSError, http.client.HTTPException) as error:
            return self.fail(str(error) or type(error).__name__, PAUSE)
        except Exception:
            log.exception("traces")
            self.counts.lost["refused"] += len(lines)
            return 0.0
        if status in AGAIN:
            return self.fail(f"it answers {status}", wait)
        if status >= 300:
            self.counts.lost["refused"] += len(lines)
            self.fail(f"it answers {status}", 0.0)
            return 0.0
        self.counts.sent += len(found)
        if self.fault:
            self.fault = ""
            log.info("traces are taken again", extra={"facts": {"endpoint": self.wanted.endpoint}})
        return 0.0

    def fail(self, reason: str, wait: float) -> float:
        """Said once, until it takes some again."""
        self.close()
        if not self.fault:
            log.warning("traces are not taken", extra={"facts": {"endpoint": self.wanted.endpoint, "reason": reason}})
        self.fault = reason
        return wait

    def post(self, body: bytes) -> tuple[int, float]:
        """The answer's status, and after how many seconds it wants to be asked again. OSError, HTTPException."""
        kept = self.connection is not None
        try:
            return self.exchange(body)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if not kept:
                raise
        return self.exchange(body)      # it had closed what we kept

    def exchange(self, body: bytes) -> tuple[int, float]:
        """The same, on the connection that is there or a new one."""
        if self.connection is None:
            self.connection = self.connect()
        self.connection.request("POST", self.url.path, body, self.fields)
        answer = self.connection.getresponse()
        answer.read(ANSWER)
        if not answer.isclosed():
            self.close()
        wait = answer.getheader("retry-after", "")
        return answer.status, float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else PAUSE

    def connect(self) -> http.client.HTTPConnection:
        """A new one. (The system's proxies are for providers.)"""
        host = self.url.hostname or ""
        if self.url.scheme == "http":
            return http.client.HTTPConnection(host, self.url.port, timeout=TIMEOUT)
        context: ssl.SSLContext = Contexts().context(None)
        return http.client.HTTPSConnection(host, self.url.port, timeout=TIMEOUT, context=context)

    def close(self) -> None:
        """The next message needs a new one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def message(service: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """An ExportTraceServiceRequest (opentelemetry/proto/collector/trace/v1)."""
    return {"resourceSpans": [{
        "resource": {"attributes": attributes({"service.name": service, "service.version": __version__})},
        "scopeSpans": [{"scope": {"name": "edge", "version": __version__}, "spans": found}]}]}


def spans(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Of each line the request's span, and those of its attempts."""
    return [span for line in lines for span in of_request(orjson.loads(line))]


def of_request(said: dict[str, Any]) -> list[dict[str, Any]]:
    """A request's line as spans."""
    end = int(datetime.fromisoformat(said["time"]).timestamp() * 1000) * 1_000_000
    begun = end - nanoseconds(said["seconds"])
    operation = OPERATIONS.get(said.get("route", ""), "")
    model = said.get("model")
    what = f"{operation} {model}" if operation and model else said.get("route", "")
    request = span(said, int(said["span_id"], 16), (begun, end), SERVER, what or said.get("method", "request"))
    if "parent_span_id" in said:
        request["parentSpanId"] = said["parent_span_id"]
    request["attributes"] = attributes({
        "http.request.method": said.get("method"), "url.path": said.get("path"), "http.route": said.get("route"),
        "http.response.status_code": said.get("status"), "client.address": said.get("address"),
        "gen_ai.operation.name": operation or None, "gen_ai.request.model": model,
        "edge.request_id": said["request_id"], "edge.key": said.get("key"), "edge.condition": said["condition"],
        "edge.attempts": said["attempts"], "edge.blame": said.get("blame"),
        "error.type": None if said["condition"] in GOOD else said["condition"]})
    mark(request, said["condition"])
    return [request, *of_attempts(said, operation, begun)]


def of_attempts(said: dict[str, Any], operation: str, begun: int) -> list[dict[str, Any]]:
    """The spans below a request's: of the attempts that failed, and of the last one where it did not."""
    failed = said.get("failed", [])
    made = [attempt(said, each, (begun, nanoseconds(each["from"]), nanoseconds(each["at"])), operation)
            for each in failed]
    count = said["attempts"]
    if count and not any(each["attempt"] == count for each in failed):
        last = {"attempt": count, "condition": said["condition"], "target": said.get("target"),
                "upstream_status": said.get("upstream_status"),
                "upstream_request_id": said.get("upstream_request_id"), "first_byte": said.get("first_byte_after"),
                "input_tokens": said.get("input_tokens"), "output_tokens": said.get("output_tokens")}
        made.append(attempt(said, last, (begun, nanoseconds(said.get("attempt_after", 0.0)),
                                         nanoseconds(said["seconds"])), operation))
    return made


def attempt(said: dict[str, Any], each: dict[str, Any], times: tuple[int, int, int], operation: str,
            ) -> dict[str, Any]:
    """One of them. `times`: the request's beginning, and in how many ns from it the attempt began and ended."""
    provider, _, model = (each["target"] or "").partition("/")
    number = int(said["span_id"], 16)
    found = span(said, number + each["attempt"], (times[0] + times[1], times[0] + times[2]), CLIENT,
                 f"{operation or 'request'} {each['target'] or ''}".rstrip())
    found["parentSpanId"] = said["span_id"]
    first = each.get("first_byte")
    found["attributes"] = attributes({
        "gen_ai.operation.name": operation or None, "gen_ai.provider.name": provider or None,
        "gen_ai.request.model": model or said.get("model"), "http.response.status_code": each.get("upstream_status"),
        "edge.attempt": each["attempt"], "edge.condition": each["condition"], "edge.reason": each.get("reason"),
        "edge.upstream_request_id": each.get("upstream_request_id"),
        "gen_ai.usage.input_tokens": each.get("input_tokens"), "gen_ai.usage.output_tokens": each.get("output_tokens"),
        "edge.first_byte_after": first, "error.type": None if each["condition"] in GOOD else each["condition"]})
    mark(found, each["condition"])
    return found


def span(said: dict[str, Any], number: int, times: tuple[int, int], kind: int, name: str) -> dict[str, Any]:
    """A Span (opentelemetry/proto/trace/v1), as JSON has it: ids in hex, 64-bit numbers as text."""
    return {"traceId": said["trace_id"], "spanId": f"{number:016x}", "name": name[:256], "kind": kind,
            "startTimeUnixNano": str(times[0]), "endTimeUnixNano": str(times[1])}


def mark(found: dict[str, Any], condition: str) -> None:
    """A failure's status."""
    if condition not in GOOD:
        found["status"] = {"code": ERROR, "message": condition}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    """KeyValues, but for what nobody knows."""
    return [{"key": name, "value": value(each)} for name, each in given.items() if each is not None]


def value(given: float | str) -> dict[str, Any]:
    """An AnyValue."""
    if isinstance(given, int):
        return {"intValue": str(given)}
    return {"doubleValue": given} if isinstance(given, float) else {"stringValue": given}


def nanoseconds(seconds: float) -> int:
    """Of a line's times, which have six places."""
    return round(seconds * 1e6) * 1000
