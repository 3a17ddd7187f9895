"""Traces: what a provider and a tracing backend hear of a request. The backend reads OpenTelemetry's own types."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import Line, Provider, answer, said
from tests.support.talk import ask, chat

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD, UNTOLD = "0af7651916cd43dd8448eb21" + "3fffffff", "0af7651916cd43dd8448eb21" + "40000000"     # by a share of 0.25
SECRET = "words-of-a-body"
BACKEND_KEY = "backend-key-0123456789"


class Backend:
    """A tracing backend; `statuses` are its next answers, after which all are 200."""

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(Provider(self.script))
        self.lock = threading.Lock()
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.raw = b""
        self.statuses: list[bytes] = []

    def script(self, line: Line) -> None:
        """A connection."""
        while data := line.request():
            head, _, body = data.partition(b"\r\n\r\n")
            with self.lock:
                status = self.statuses.pop(0) if self.statuses else b"200 OK"
                self.raw += data
                if status == b"200 OK":
                    self.take(head, body)
            line.send(answer(b"{}", status=status))

    def take(self, head: bytes, body: bytes) -> None:
        """A message as the published types have it; their ids are hex digits in JSON (OTLP, JSON encoding)."""
        assert head.startswith(b"POST /v1/traces HTTP/1.1") and b"content-type: application/json" in head
        message = orjson.loads(body)
        for span in (span for each in message["resourceSpans"] for scope in each["scopeSpans"]
                     for span in scope["spans"]):
            for name in {"traceId", "spanId", "parentSpanId"} & span.keys():
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
        read = ParseDict(message, ExportTraceServiceRequest())
        for each in read.resource_spans:
            self.services |= {pair.value.string_value for pair in each.resource.attributes
                              if pair.key == "service.name"}
            self.spans += [span for scope in each.scope_spans for span in scope.spans]

    def of(self, request: str) -> list[Span]:
        """A request's span and those of its attempts, once they are here."""
        with self.lock:
            own = next((span for span in self.spans if facts(span).get("edge.request_id") == request), None)
            return [] if own is None else [own] + [span for span in self.spans if span.parent_span_id == own.span_id]


def facts(span: Span) -> dict[str, Any]:
    """Its attributes."""
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes}


class Stage:
    """A gateway before a provider that is well and one that is not, and the backend that it tells."""

    def __init__(self, stack: ExitStack, **changes: Any) -> None:
        self.heads: list[bytes] = []
        well, ill = stack.enter_context(Provider(self.well)), stack.enter_context(Provider(self.ill))
        self.backend = Backend(stack)
        config = configuration("", models={"good": "well/real", "mended": ["ill/real", "well/real"], "bad": "ill/real"},
                               contract={"openai": "token360"}, circuit_breaker={"enabled": False}, **{
            "tracing": {"endpoint": f"{self.backend.server.url}/v1/traces", "share": 0.25, "service": "gate",
                        "headers": {"x-api-key": "env:BACKEND_KEY"}}, **changes})
        config["retry"] = {"max": 1}
        if config["tracing"] is None:
            del config["tracing"]
        config["providers"] = {name: {"kind": "openai", "base_url": f"{provider.url}/v1"}
                               for name, provider in {"well": well, "ill": ill}.items()}
        self.edge = stack.enter_context(Gateway(config, environ={"BACKEND_KEY": BACKEND_KEY}))

    def well(self, line: Line) -> None:
        """Answers."""
        while data := line.request():
            self.heads.append(data.partition(b"\r\n\r\n")[0])
            line.send(said())

    def ill(self, line: Line) -> None:
        """Fails."""
        while data := line.request():
            self.heads.append(data.partition(b"\r\n\r\n")[0])
            line.send(answer(b'{"error":{"message":"no","type":"x"}}', status=b"500 Internal Server Error"))

    def ask(self, model: str, trace: str | None, name: str) -> Any:
        """The answer to a request of that id and traceparent."""
        fields = {"x-request-id": name} | ({} if trace is None else {"traceparent": trace})
        return ask(self.edge.port, chat(model, text=SECRET, **fields))

    def told(self, name: str) -> list[Span]:
        """What the backend hears of it."""
        found: list[Span] = self.edge.wait(lambda: self.backend.of(name))
        return found

    def heard(self) -> list[str]:
        """What providers have heard of traces since the last time."""
        heads, self.heads[:] = list(self.heads), []
        return [line.split(b": ", 1)[1].decode() for head in heads for line in head.split(b"\r\n")
                if line.lower().startswith(b"traceparent:")]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """For all tests of this file but those that need another configuration."""
    with ExitStack() as stack:
        yield Stage(stack)


def test_a_callers_trace_goes_on(stage: Stage) -> None:
    """A request is a child of its caller's span, its attempt is the request's, and the provider is the attempt's."""
    stage.heard()
    assert stage.ask("good", f"00-{TOLD}-{PARENT}-01", "req-goes-on").status == 200
    request, attempt = stage.told("req-goes-on")
    assert request.trace_id.hex() == attempt.trace_id.hex() == TOLD
    assert request.parent_span_id.hex() == PARENT and attempt.parent_span_id == request.span_id
    assert stage.heard() == [f"00-{TOLD}-{attempt.span_id.hex()}-01"]
    assert (request.kind, attempt.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert request.name == "chat good" and attempt.name == "chat well/real"
    assert request.start_time_unix_nano <= attempt.start_time_unix_nano < attempt.end_time_unix_nano
    assert attempt.end_time_unix_nano <= request.end_time_unix_nano
    assert facts(request).items() >= {
        "gen_ai.request.model": "good", "http.response.status_code": 200, "edge.key": "test", "edge.condition": "ok",
        "http.request.method": "POST"}.items()
    assert facts(attempt).items() >= {"gen_ai.provider.name": "well", "gen_ai.request.model": "real",
                                      "gen_ai.operation.name": "chat"}.items()
    assert request.status.code == Status.STATUS_CODE_UNSET and stage.backend.services == {"gate"}


def test_attempts_are_spans(stage: Stage) -> None:
    """A request that took two attempts is told of whatever its trace, with both, and each provider heard of its own."""
    stage.heard()
    assert stage.ask("mended", f"00-{UNTOLD}-{PARENT}-00", "req-mended").status == 200
    request, first, second = sorted(stage.told("req-mended"), key=lambda span: span.start_time_unix_nano)
    assert [facts(span)["edge.condition"] for span in (request, first, second)] == ["ok", "provider_error", "ok"]
    assert [span.status.code for span in (request, first, second)] == [0, Status.STATUS_CODE_ERROR, 0]
    assert facts(first)["http.response.status_code"] == 500
    assert stage.heard() == [f"00-{UNTOLD}-{span.span_id.hex()}-00" for span in (first, second)]
    assert first.end_time_unix_nano <= second.start_time_unix_nano


def test_failures_are_told(stage: Stage) -> None:
    """What failed or was refused is told of, whatever the share, and the client's error names the trace."""
    failed = stage.ask("bad", f"00-{UNTOLD}-{PARENT}-00", "req-bad")
    assert orjson.loads(failed.body)["error"]["traceId"] == UNTOLD
    request, *attempts = stage.told("req-bad")
    assert facts(request)["error.type"] == "provider_error" and request.status.code == Status.STATUS_CODE_ERROR
    assert len(attempts) >= 1
    assert stage.ask("none", None, "req-none").status == 404
    assert [facts(span)["edge.condition"] for span in stage.told("req-none")] == ["model_unknown"]


def test_the_share_is_by_trace(stage: Stage) -> None:
    """Of what went well the trace's id decides, so that all gateways of a trace tell of it or none does."""
    for number in range(4):
        stage.ask("good", f"00-{UNTOLD}-{PARENT}-01", f"req-untold-{number}")
        stage.ask("good", f"00-{TOLD}-{PARENT}-00", f"req-told-{number}")
    for number in range(4):
        assert stage.told(f"req-told-{number}")
    assert not any(stage.backend.of(f"req-untold-{number}") for number in range(4))


MALFORMED = ("", "00", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
             f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more",
             f"00-{TRACE}-{PARENT}-0g", f"00_{TRACE}-{PARENT}-01", f"01-{TRACE}-{PARENT}-01x", "x" * 4000)


@pytest.mark.parametrize("given", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_trace(stage: Stage, given: str) -> None:
    """What is no traceparent begins no trace of its own: a new one does, and nothing of it reaches the provider."""
    stage.heard()
    assert stage.ask("good", given, "req-malformed").status == 200
    version, trace, span, flags = stage.heard()[0].split("-")
    assert version == "00" and len(trace) == 32 and len(span) == 16 and flags in ("00", "01")
    assert trace not in (TRACE, TRACE.upper(), "0" * 32) and span not in (PARENT, "0" * 16)


def test_a_later_version(stage: Stage) -> None:
    """Of a later version of the format the part that is known is read."""
    stage.heard()
    stage.ask("good", f"cc-{TRACE}-{PARENT}-01-what-comes", "req-later")
    assert stage.heard()[0].startswith(f"00-{TRACE}-")


def test_nothing_secret_is_told(stage: Stage) -> None:
    """No key and no word of a body is in what the backend gets, but for the backend's own key in its header."""
    stage.ask("good", f"00-{TOLD}-{PARENT}-01", "req-secret")
    stage.told("req-secret")
    assert SECRET.encode() not in stage.backend.raw and KEY.encode() not in stage.backend.raw
    assert f"x-api-key: {BACKEND_KEY}".encode() in stage.backend.raw


def test_a_backend_that_is_not_well(stage: Stage) -> None:
    """What it wants again is sent again; what it refuses is lost, counted, and said once; requests go on."""
    lost = stage.edge.metric("edge_traced_requests_lost_total", reason="refused")
    stage.backend.statuses += [b"503 Service Unavailable"]
    stage.ask("good", f"00-{TOLD}-{PARENT}-01", "req-again")
    assert stage.told("req-again")
    stage.backend.statuses += [b"400 Bad Request"]
    stage.ask("good", f"00-{TOLD}-{PARENT}-01", "req-refused")
    stage.edge.wait(lambda: stage.edge.metric("edge_traced_requests_lost_total", reason="refused") == lost + 1)
    stage.ask("good", f"00-{TOLD}-{PARENT}-01", "req-after")
    assert stage.told("req-after") and not stage.backend.of("req-refused")
    said = [line["message"] for line in stage.edge.log_lines() if "traces are" in line.get("message", "")]
    assert said[:2] == ["traces are not taken", "traces are taken again"]


def test_without_traces() -> None:
    """Without `tracing` a caller's word goes on as it came, and the access log names its trace; none is made."""
    with ExitStack() as stack:
        stage = Stage(stack, tracing=None, access_log={"path": "access"})
        stage.ask("good", f"00-{TRACE}-{PARENT}-01", "req-through")
        assert stage.heard() == [f"00-{TRACE}-{PARENT}-01"]
        stage.ask("good", None, "req-without")
        assert stage.heard() == []
        file = stage.edge.file.parent / "access"
        stage.edge.wait(lambda: file.exists() and file.read_bytes().count(b"\n") == 2)
        first, second = map(orjson.loads, file.read_bytes().splitlines())
        assert first["trace_id"] == TRACE and "trace_id" not in second


def test_nobody_takes_traces() -> None:
    """A backend that never answers costs requests nothing; the gateway ends at once as well."""
    silent = threading.Event()
    with ExitStack() as stack:
        dead = stack.enter_context(Provider(lambda line: (line.request(), silent.wait(60))[0] and None))
        stage = Stage(stack, tracing={"endpoint": f"{dead.url}/v1/traces", "share": 1})
        for number in range(20):
            assert stage.ask("good", None, f"req-{number}").status == 200
        assert stage.edge.stop() == 0
        silent.set()
