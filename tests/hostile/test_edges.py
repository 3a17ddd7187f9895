"""The client's side of HTTP: what of a request goes no further, and what an answer bears."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import GOOD, Line, Provider, answer, said
from tests.support.talk import Talk, ask, chat, in_contract, request

HIDDEN = b"GET /v1/files/hidden HTTP/1.1\r\nhost: x\r\n\r\n"
RELAYED = ["/v1/files", "/v1/files/f-1", "/v1/batches", "/v1/responses/r-1", "/v1/models", "/v1/models/m",
           "/v1/messages/batches"]
REFUSED = b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"%s"}}'


class Upstream(Provider):
    """Answers what `replies` say, then well; keeps what it was asked. One that reads no body of GET and DELETE."""

    def __init__(self) -> None:
        super().__init__(self.serve)
        self.asked: list[bytes] = []
        self.replies: list[bytes] = []

    def serve(self, line: Line) -> None:
        """A script."""
        while head := line.head():
            length = next((int(each.split(b":")[1]) for each in head.lower().split(b"\r\n")
                           if each.startswith(b"content-length:")), 0)
            if head.split(b" ")[0] in (b"POST", b"PUT", b"PATCH"):
                while len(line.buffer) < length:
                    if not (piece := line.socket.recv(65536)):
                        return
                    line.buffer += piece
                line.buffer = line.buffer[length:]
            self.asked.append(head)
            reply = self.replies.pop(0) if self.replies else said(b"hidden" if b"hidden" in head else b"hello")
            line.send(reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD") else reply)

    def field(self, name: str) -> str | None:
        """Of the last request."""
        for line in self.asked[-1].decode("latin-1").split("\r\n")[1:]:
            known, _, value = line.partition(": ")
            if known.lower() == name.lower():
                return value
        return None


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """See Upstream."""
    with Upstream() as provider:
        yield provider


@pytest.fixture(scope="module")
def front(upstream: Upstream) -> Iterator[Gateway]:
    """The gateway before it; one connection to each provider, so that what is left in it must meet the next."""
    config = configuration(upstream.url, models={})
    for entry in config["providers"].values():
        entry["max_connections"] = 1
    config["circuit_breaker"] = {"enabled": False}
    with Gateway(config) as running:
        yield running
        assert running.metric("edge_requests_total", condition="internal_error") == 0
        assert running.metric("edge_worker_restarts_total") == 0


BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "length": ({"content_length": str(len(HIDDEN))}, HIDDEN),
    "chunks": ({"transfer_encoding": "chunked"}, b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
    "no chunks": ({"transfer_encoding": "chunked"}, b"0\r\n\r\n"),
    "long": ({"content_length": "100000"}, HIDDEN.ljust(100000))}


@pytest.mark.parametrize("path", RELAYED)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("how", BODIES)
def test_a_body_of_a_get_goes_no_further(front: Gateway, upstream: Upstream, path: str, method: str, how: str) -> None:
    """A body on GET or HEAD is refused, so that no provider can take it for the next client's request."""
    fields, body = BODIES[how]
    before = len(upstream.asked)
    with Talk(front.port) as talk:
        found = talk.send(request(path=path, method=method, **fields) + body).answer(method)
    assert (found.status, found.header("connection")) == (400, "close")
    if method == "GET":
        in_contract(found, "request_malformed", "anthropic" if "messages" in path else "openai")
    assert upstream.asked[before:] == []
    assert ask(front.port, chat()).json["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize("path", [path for path in RELAYED if not path.startswith("/v1/models")])
@pytest.mark.parametrize("how", BODIES)
def test_a_body_of_a_delete_is_the_last_of_its_connection(front: Gateway, path: str, how: str) -> None:
    """DELETE may have a body, and servers that read none: no other request follows it on its connection."""
    fields, body = BODIES[how]
    with Talk(front.port) as talk:
        assert talk.send(request(path=path, method="DELETE", **fields) + body).answer("DELETE").status == 200
    for _ in range(3):
        assert ask(front.port, chat()).json["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH"])
def test_an_empty_body_is_none(front: Gateway, upstream: Upstream, method: str) -> None:
    """Content-Length: 0 goes on with the methods that have bodies, and is no body of the others."""
    found = ask(front.port, request(path="/v1/files/f-1", method=method, content_length="0"), method)
    assert found.status == 200
    assert upstream.field("content-length") == ("0" if method in ("POST", "PUT", "PATCH") else None)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "get", "LINK", "QUERY"])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/chat/completions", "/v1/messages/batches"])
def test_methods_that_are_not_relayed(front: Gateway, upstream: Upstream, path: str, method: str) -> None:
    """Of other methods nobody knows what their bodies mean to a provider: none is relayed."""
    before = len(upstream.asked)
    with Talk(front.port) as talk:
        data = request(path=path, method=method, content_length=str(len(HIDDEN))) + HIDDEN
        assert talk.send(data).answer().status == 405
    assert len(upstream.asked) == before


@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("name", ["x-http-method-override", "x-method-override", "x-http-method", "x-original-url",
                                  "x-rewrite-url", "openai-organization", "openai-project", "origin", "sec-fetch-site"])
def test_fields_that_would_turn_a_request_into_another(front: Gateway, upstream: Upstream, name: str,
                                                       spelling: object) -> None:
    """What stands for another method, path, account or a browser's page is not the client's to say."""
    assert callable(spelling)
    assert ask(front.port, chat().replace(b"host: edge", f"host: edge\r\n{spelling(name)}: x".encode())).status == 200
    assert upstream.field(name) is None


def test_an_organization_that_is_configured_is_sent(upstream: Upstream) -> None:
    """The provider's configuration says whose account pays, whatever a client says."""
    config = configuration(upstream.url)
    config["providers"]["openai"]["headers"] = {"OpenAI-Organization": "org-ours", "OpenAI-Project": "p-ours"}
    with Gateway(config) as running:
        assert ask(running.port, chat(OpenAI_Organization="org-theirs", openai_project="p")).status == 200
    assert (upstream.field("openai-organization"), upstream.field("openai-project")) == ("org-ours", "p-ours")


@pytest.mark.parametrize("asked", ["", "anthropic-version: 2024-01-01\r\n"])
def test_a_version_that_is_configured_is_sent_once(upstream: Upstream, asked: str) -> None:
    """The provider's configuration says which version of its API is meant, whether a client says one or not."""
    config = configuration(upstream.url)
    config["providers"]["anthropic"]["headers"] = {"Anthropic-Version": "2026-10-21"}
    head = f"POST /v1/messages/batches HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {KEY}\r\n{asked}"
    with Gateway(config) as running:
        ask(running.port, f"{head}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}".encode())
    fields = upstream.asked[-1].decode().lower().split("\r\n")
    assert [field for field in fields if field.startswith("anthropic-version")] == ["anthropic-version: 2026-10-21"]


@pytest.mark.parametrize(("status", "code", "fields"), [
    (401, "mismatched_organization", {"OpenAI_Organization": "org-theirs"}),
    (401, "invalid_beta", {"anthropic_beta": "oauth-2025-04-20"}), (403, "no_beta", {"openai_beta": "assistants=v2"}),
    (403, "permission_error", {"anthropic_beta": "files-api-2025-04-14"}), (403, "forbidden", {"idempotency_key": "a"}),
    (402, "billing", {})])
def test_no_client_takes_the_key_from_the_others(front: Gateway, upstream: Upstream, status: int, code: str,
                                                 fields: dict[str, str]) -> None:
    """A refusal that a client's own fields can bring about does not bench the only key."""
    sent = {name: value for name, value in fields.items() if "rganization" not in name}
    if sent or status != 401:
        upstream.replies.append(answer(REFUSED % code.encode(), status=b"%d Refused" % status))
    ask(front.port, chat(**fields))
    assert ask(front.port, chat()).status == 200
    assert [line for line in front.log_lines() if line["message"] == "provider key benched"] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("given", [None, "Sat, 28 Nov 2026 00:00:00 GMT"])
def test_an_answer_has_a_date(front: Gateway, upstream: Upstream, stream: bool, given: str | None) -> None:
    """An answer has the provider's date, or one of ours where it has none (RFC 9110 6.6.1)."""
    said = [b"date: " + given.encode()] if given else []
    upstream.replies.append(flowing(*said) if stream else answer(GOOD % b"x", *said))
    found = ask(front.port, chat(stream=stream))
    assert found.status == 200 and found.header("date") and given in (None, found.header("date"))


FLOWING = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def flowing(*fields: bytes) -> bytes:
    """A stream."""
    return answer(FLOWING, *fields).replace(b"application/json", b"text/event-stream")


# What a provider says of caching, a line each, and what the client is told.
CACHING = [
    ([], "no-cache"), (["private"], "no-cache"), (["public, max-age=60"], "no-cache"), (["max-age=0"], "no-cache"),
    ([""], "no-cache"), (["no-cached"], "no-cache"), (["x-no-store"], "no-cache"), (['no-cache="date"'], "no-cache"),
    (['private="a, no-store, b"'], "no-cache"), (["no-cache"], "no-cache"), (["no-store"], "no-store"),
    (["No-Store , max-age=0"], "No-Store , max-age=0"), (["private,no-cache"], "private,no-cache"),
    (["public, max-age=60", "no-store"], "public, max-age=60, no-store"), (["private", "max-age=5"], "no-cache"),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses/r-1?stream=true"])
@pytest.mark.parametrize("buffering", [[], ["yes"], ["no"], ["Yes", "no"]], ids=str)
@pytest.mark.parametrize(("caching", "told"), CACHING, ids=str)
def test_nothing_in_front_holds_a_stream_back(
        front: Gateway, upstream: Upstream, path: str, buffering: list[str], caching: list[str], told: str) -> None:
    """A stream says once that nobody is to buffer or to cache it, whatever its provider says."""
    said = [*(f"X-Accel-Buffering: {value}" for value in buffering), *(f"Cache-Control: {value}" for value in caching)]
    upstream.replies.append(flowing(*(line.encode() for line in said)))
    method = "GET" if "?" in path else "POST"
    found = ask(front.port, request(path=path, method="GET") if method == "GET" else chat(stream=True), method)
    assert (found.status, found.body) == (200, FLOWING)
    assert (found.header("x-accel-buffering"), found.header("cache-control")) == ("no", told)


@pytest.mark.parametrize("given", ["x-accel-buffering: yes", "Cache-Control: private"])
def test_what_is_no_stream_may_be_held_back(front: Gateway, upstream: Upstream, given: str) -> None:
    """A plain answer says of buffering and caching what its provider says, and nothing else."""
    upstream.replies.append(answer(GOOD % b"x", given.encode()))
    found = ask(front.port, chat())
    assert {name: found.header(name) for name in ("x-accel-buffering", "cache-control")} == {
        "x-accel-buffering": None, "cache-control": None, **dict([given.lower().split(": ")])}


HANDSHAKE = {"connection": "keep-alive, Upgrade", "upgrade": "WebSocket", "sec_websocket_version": "13",
             "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("path", ["/v1/responses", "/responses", "/v1/chat/completions", "/v1/messages", "/v1/files",
                                  "/v1/models", "/health", "/v1/responses?model=gpt-5"])
def test_an_upgrade_to_websocket_is_refused(front: Gateway, upstream: Upstream, path: str, key: str | None) -> None:
    """426 says what is spoken here (RFC 9110 15.5.22), and the connection goes on with it."""
    before = len(upstream.asked)
    with Talk(front.port) as talk:
        found = talk.send(request(path=path, method="GET", key=key, **HANDSHAKE)).answer("GET")
        in_contract(found, "upgrade_refused", "anthropic" if "messages" in path else "openai", status=426)
        assert (found.header("upgrade"), found.header("connection")) == ("HTTP/1.1", "upgrade")
        assert talk.send(chat()).answer().status == 200
    assert len(upstream.asked) == before + 1
    with Talk(front.port) as talk:
        last = HANDSHAKE | {"connection": "close, Upgrade"}
        found = talk.send(request(path=path, method="GET", key=key, **last)).answer("GET")
        in_contract(found, "upgrade_refused", "anthropic" if "messages" in path else "openai", status=426)
        assert [value for name, value in found.fields if name == b"connection"] == [b"upgrade, close"]
        assert talk.end() == "fin"


@pytest.mark.parametrize("value", ["h2c", "foo/2", ""])
def test_other_upgrades_are_ignored(front: Gateway, upstream: Upstream, value: str) -> None:
    """Who offers another protocol is answered in this one (RFC 9110 7.8), and the provider does not hear of it."""
    assert ask(front.port, chat(connection="upgrade", upgrade=value)).status == 200
    assert upstream.field("upgrade") is None


def test_an_upgrade_of_http_1_0_is_ignored(front: Gateway) -> None:
    """HTTP/1.0 has no upgrades (RFC 9110 7.8): it is a GET like others."""
    data = request(path="/v1/responses", method="GET", **HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0")
    in_contract(ask(front.port, data, "GET"), "method_not_allowed")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/realtime?model=gpt-realtime", "/v1/realtime/sessions",
                                  "/realtime/client_secrets", "/openai/realtime", "/v1/realtime/calls/c"])
def test_the_realtime_api_is_not_done(front: Gateway, path: str, method: str) -> None:
    """What is known and not done is 501, whether it comes as a WebSocket or not."""
    for fields in ({}, HANDSHAKE):
        in_contract(ask(front.port, request(path=path, method=method, **fields), method), "not_implemented", status=501)


@pytest.mark.parametrize("target", ["http://front/v1/chat/completions", "HTTPS://other.example:1/v1/chat/completions?a=b",
                                    "http://[::1]:8766/v1/v1/chat/completions",
                                    "http://169.254.169.254/v1/chat/completions"])
def test_absolute_form_is_taken(front: Gateway, upstream: Upstream, target: str) -> None:
    """A target may name its host (RFC 9112 3.2.2), which decides nothing here: the provider gets its own."""
    assert ask(front.port, chat().replace(b"/v1/chat/completions", target.encode())).status == 200
    assert upstream.field("host") == f"127.0.0.1:{upstream.port}"
    assert upstream.asked[-1].split(b" ")[1] == b"/v1/chat/completions" + (b"?a=b" if "?" in target else b"")
