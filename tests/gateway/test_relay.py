"""What reaches the provider and what comes back, byte by byte, in every framing that HTTP/1 has."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.gateway.client import HELLO, PATHS, SURFACES, Answer, ask, asked, post, read, receive, request
from tests.gateway.script import Asked, Script, answer, chunk, completion, message, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import Line, Provider
from tests.support.provider import said as completed
from tests.support.simulator import Simulator

ANSWERS = {"openai": completion(), "anthropic": message()}
CHAT = PATHS["openai"]
MEGABYTE = 1 << 20
ALIAS = '"scripted-alias"'
REAL = '"the \\"real\\" näme"'


def exchange(gateway: Gateway, script: Script, data: bytes, reply: bytes = answer(ANSWERS["openai"])
             ) -> tuple[Asked, Answer]:
    """A request, the provider's answer to it: what each side got."""
    with Wire(gateway.port) as wire:
        wire.send(data)
        meeting = script.meet()
        got = meeting.asked()
        sender = threading.Thread(target=meeting.send, args=(reply,))       # large answers wait for their reader
        sender.start()
        answered = read(wire.answer())
        sender.join()
        return got, answered


def in_chunks(body: bytes, *, path: str = CHAT, size: int = 7) -> bytes:
    """The request with its body in chunks, the last one with a trailer behind it."""
    pieces = b"".join(b"%X;x=y\r\n%b\r\n" % (len(body[at:at + size]), body[at:at + size])
                      for at in range(0, len(body), size))
    return request(b"", path=path, headers={"content-length": None, "transfer-encoding": "chunked"}) + \
        pieces + b"0\r\nx-trailer: 1\r\n\r\n"


# Bodies in which the model is named in the middle of all that JSON allows; %s is where.
BODIES = {
    "whitespace": '{ \t\r\n "model"\n :\t\r%s\n,\n"messages" : [ ]\r\n}\n ',
    "last": '{"messages":[{"role":"user","content":"hi"}],"stream":false,"model":%s}',
    "first": '{"model":%s,"messages":[]}',
    "nested": '{"messages":[{"model":"scripted-alias"}],"x":{"model":"scripted-alias"},"model":%s}',
    "escapes": r'{"messages":["\u00e9\ud83d\ude00\/\b\f\"\\ é😀"],"us\u0065r":1,"model":%s}',
    "nested twice": '{"messages":[],"x":{"a":1,"a":2,"a":{"a":[]}},"x":0,"x":0,"model":%s,"y":[[[[[]]]]]}',
    "numbers": '{"model":%s,"messages":[-0,1E+2,0.10000000000000000000001,123456789012345678901234567890,1e-400]}',
    "look-alikes": '{"model_":"a","model ":"b","messages":["\\"model\\":\\"c\\"","}{"],"":{},"model":%s}',
    "control": '{"messages":["\\u0000\\u001f\u007f\u0085\u2028"],"model":%s}',
}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", BODIES)
def test_an_alias_is_spliced(gateway: Gateway, script: Script, name: str, chunked: bool) -> None:
    """The target's own name of the model takes the alias' place, and not a byte beside it is another."""
    sent, expected = (BODIES[name].replace("%s", model).encode() for model in (ALIAS, REAL))
    got, answered = exchange(gateway, script, in_chunks(sent) if chunked else request(sent, path=CHAT))
    assert got.body == expected
    assert got.field("content-length") == str(len(expected))
    assert answered.status == 200


@pytest.mark.parametrize("name", BODIES)
def test_other_bodies_are_untouched(gateway: Gateway, script: Script, name: str) -> None:
    """A body whose model has the same name at the provider arrives as it was sent."""
    sent = BODIES[name].replace("%s", '"scripted-\\u0031"').encode()
    assert exchange(gateway, script, request(sent, path=CHAT))[0].body == sent


def test_an_alias_written_with_escapes(gateway: Gateway, script: Script) -> None:
    """Escapes in the alias change nothing about what is meant; in the member's name they are refused as evasive."""
    sent = rb'{"model":"scripted\u002dalias","messages":[]}'
    got, _ = exchange(gateway, script, request(sent, path=CHAT))
    assert json.loads(got.body) == {"model": json.loads(REAL), "messages": []}
    for names in (rb'{"mod\u0065l":"scripted-1"', rb'{"model":"scripted-1","\u006dodel":"sim-1"'):
        refused = ask(gateway.port, request(names + b',"messages":[]}', path=CHAT))
        assert (refused.status, refused.fields["x-edge-condition"]) == (400, "field_value")


CLIENT_FIELDS = {
    "Cookie": "session=1", "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "Forwarded": "for=1.2.3.4",
    "X-Real-IP": "1.2.3.4", "Via": "1.1 somebody", "CF-Connecting-IP": "1.2.3.4", "True-Client-IP": "1.2.3.4",
    "Proxy-Authorization": f"Basic {KEY}", "api-key": KEY, "x-goog-api-key": KEY, "TE": "trailers", "Keep-Alive":
    "timeout=9", "X-Hop": "1", "Connection": "x-hop, keep-alive", "X-Edge-Debug": "1", "Upgrade": "h2c",
    "HTTP2-Settings": "AAMAAABkAAQAAP__", "Accept-Encoding": "gzip, br", "OpenAI-Organization": "org-1",
    "OpenAI-Project": "p-1", "X-HTTP-Method-Override": "DELETE", "x-original-url": "/admin", "Origin": "https://a.b",
}
PASSED_FIELDS = {
    "User-Agent": "some-sdk/1.0 (é)", "Accept": "*/*", "OpenAI-Beta": "b=v2", "X-Stainless-Retry-Count": "1",
    "Idempotency-Key": "k-1", "anthropic-beta": "a,b", "X-Custom_1": 'any "thing" \t inside',
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2",
}


@pytest.mark.parametrize("surface", SURFACES)
def test_fields_for_the_provider(gateway: Gateway, script: Script, listener: Any, surface: str) -> None:
    """The provider gets its own key, what the client says to it, and nothing of who the client is or how it came."""
    other = "x-api-key" if surface == "openai" else "authorization"
    data = request(asked(surface, model="scripted-1"), path=PATHS[surface], headers={
        **CLIENT_FIELDS, **PASSED_FIELDS, "x-api-key": KEY, "authorization": f"Bearer {KEY}"})
    got, answered = exchange(gateway, script, data.decode().encode("latin-1"), answer(ANSWERS[surface]))
    assert got.line == f"POST {PATHS[surface]} HTTP/1.1"
    assert got.field("host") == f"127.0.0.1:{listener.getsockname()[1]}"
    assert got.field("accept-encoding") == "identity"
    key = ("authorization", "Bearer sk-provider") if surface == "openai" else ("x-api-key", "sk-provider")
    assert got.field(key[0]) == key[1]
    assert KEY.encode() not in got.head + got.body
    assert {name.lower(): got.field(name.lower()) for name in PASSED_FIELDS} == {
        name.lower(): value for name, value in PASSED_FIELDS.items()}
    gone = {name.lower() for name in CLIENT_FIELDS} - {"accept-encoding"} | {other}
    assert gone & {name for name, _ in got.fields} == set()
    assert got.field("x-request-id") == answered.fields["x-request-id"]
    assert got.field("content-length") == str(len(got.body))


@pytest.mark.parametrize(("given", "expected"), [(None, "2023-06-01"), ("2026-10-21", "2026-10-21")])
def test_version_of_anthropics_api(gateway: Gateway, script: Script, given: str | None, expected: str) -> None:
    """The client's anthropic-version goes on; a client that has none gets the one that every provider knows."""
    data = post("anthropic", model="scripted-1", headers={"anthropic-version": given})
    got, _ = exchange(gateway, script, data, answer(ANSWERS["anthropic"]))
    assert got.field("anthropic-version") == expected


@pytest.mark.parametrize("given", [None, "2026-10-21"])
@pytest.mark.parametrize("name", ["anthropic-version", "Anthropic-Version"])
def test_a_version_of_one_provider(name: str, given: str | None) -> None:
    """Where the configuration sets anthropic-version for one provider, the others have the one that all know."""
    seen: list[bytes] = []

    def script(line: Line) -> None:
        while data := line.request():
            seen.append(data)
            line.send(answer(ANSWERS["anthropic"]))

    with Provider(script) as provider:
        entry = {"kind": "anthropic", "base_url": provider.url}
        config = configuration("", models={"pinned": "one", "usual": "two"})
        config["providers"] = {"one": {**entry, "headers": {name: "2042-01-01"}}, "two": entry}
        with Gateway(config) as edge:
            for model in ("pinned", "usual"):
                ask(edge.port, post("anthropic", model=model, headers={"anthropic-version": given}))
    versions = [re.findall(rb"\r\nanthropic-version: ([^\r]*)", data, re.IGNORECASE) for data in seen]
    assert versions == [[b"2042-01-01"], [b"2023-06-01"]]


def test_fields_for_the_client(gateway: Gateway, script: Script) -> None:
    """The client gets what the provider says to it, but nothing that binds it to the provider's host or connection."""
    gone = {"Set-Cookie": "a=1", "Server": "provider", "Alt-Svc": "h3=:443", "Strict-Transport-Security": "max-age=9",
            "Via": "1.1 x", "X-Request-Id": "theirs", "request-id": "theirs", "X-Should-Retry": "false",
            "X-Edge-Condition": "ok", "X-Edge-Target": "x", "X-Edge-Attempts": "9",
            "X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9",
            "OpenAI-Organization": "ours", "openai-project": "ours", "Access-Control-Allow-Origin": "*",
            "X-Accel-Redirect": "/internal",
            "Keep-Alive": "timeout=5", "X-Hop": "1", "Connection": "x-hop", "Proxy-Authenticate": "Basic"}
    kept = {"Content-Type": "application/json; charset=utf-8", "OpenAI-Processing-Ms": "12", "Date": "a date",
            "x-ratelimit-limit-requests": "500", "anthropic-ratelimit-tokens-reset": "x", "X-Any": 'thing "1"'}
    fields = "".join(f"{name}: {value}\r\n" for name, value in {**gone, **kept}.items())
    reply = answer(ANSWERS["openai"], fields=fields)
    _, answered = exchange(gateway, script, post("openai", model="scripted-1"), reply)
    assert {name: answered.fields[name.lower()] for name in kept} == kept
    ours = {"x-request-id", "request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset",
            "x-edge-target"}
    assert set(answered.fields) == {name.lower() for name in kept} | ours | {"content-length"}
    assert answered.fields["x-ratelimit-limit"] == "100000"
    assert re.fullmatch(r"req-[0-9a-f]{16}", answered.fields["x-request-id"])
    assert answered.body == ANSWERS["openai"]


@pytest.mark.parametrize(("path", "expected"), [
    (f"{CHAT}?", f"{CHAT}?"),
    (f"{CHAT}?api-version=1&x=%2F%20é&&=", f"{CHAT}?api-version=1&x=%2F%20é&&="),
    (f"/v1{CHAT}?a=b", f"{CHAT}?a=b"),
    ("/v1/scripted/a%25b/c%20d,e=f?x=/../?y%2F", "/v1/scripted/a%25b/c%20d,e=f?x=/../?y%2F"),
])
def test_targets(gateway: Gateway, script: Script, path: str, expected: str) -> None:
    """Path and query go on as they were sent, but for a /v1 too many."""
    path, expected = (text.replace("é", "%C3%A9") for text in (path, expected))
    got, _ = exchange(gateway, script, request(asked("openai", model="scripted-1"), path=path))
    assert got.line == f"POST {expected} HTTP/1.1"


@pytest.mark.parametrize("path", ["/rerank", "/v2/rerank/x"])
def test_routes_outside_of_v1(gateway: Gateway, script: Script, path: str) -> None:
    """An operator's route that does not begin with /v1 is whole behind the provider's base URL."""
    got, _ = exchange(gateway, script, request({}, path=path))
    assert got.line == f"POST /v1{path} HTTP/1.1"


BINARY = bytes(range(256)) * 3 + b"\r\n--edge\r\n\r\n0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_relayed_paths(gateway: Gateway, script: Script, method: str, chunked: bool) -> None:
    """Paths that are relayed as they are take any method and body, and bring any body back."""
    data = in_chunks(BINARY, path="/v1/scripted/x") if chunked else request(BINARY, path="/v1/scripted/x")
    data = data.replace(b"POST", method.encode(), 1)
    data = data.replace(b"application/json", b'multipart/form-data; boundary="edge"', 1)
    reply = answer(BINARY[::-1], fields="content-type: audio/mpeg\r\ncontent-encoding: gzip\r\n")
    got, answered = exchange(gateway, script, data, reply)
    assert (got.line, got.body) == (f"{method} /v1/scripted/x HTTP/1.1", BINARY)
    assert got.field("content-type") == 'multipart/form-data; boundary="edge"'
    assert answered.body == BINARY[::-1]
    assert (answered.fields["content-type"], answered.fields["content-encoding"]) == ("audio/mpeg", "gzip")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bodiless_requests(gateway: Gateway, script: Script, method: str) -> None:
    """GET and HEAD go on without a body, and the answer to HEAD keeps its length and the connection its place."""
    with Wire(gateway.port) as wire:
        wire.send(request(path="/v1/scripted/x", method=method, headers={"content-length": None, "content-type": None}))
        meeting = script.meet()
        got = meeting.asked()
        assert (got.line, got.body) == (f"{method} /v1/scripted/x HTTP/1.1", b"")
        assert got.field("content-type") is None
        meeting.send(answer(b"x" * 123)[:None if method == "GET" else -123])
        seen = receive(wire, b"x" * 123 if method == "GET" else b"\r\n\r\n")
        assert seen.partition(b"\r\n\r\n")[2] == (b"x" * 123 if method == "GET" else b"")
        assert b"\r\ncontent-length: 123\r\n" in seen
        assert read(wire.send(post("openai")).answer()).status == 200


@pytest.mark.parametrize(("method", "status"), [("DELETE", "204 No Content"), ("GET", "304 Not Modified")])
def test_bodiless_answers(gateway: Gateway, script: Script, method: str, status: str) -> None:
    """Answers that cannot have a body have none, and the connection goes on."""
    with Wire(gateway.port) as wire:
        wire.send(request(path="/v1/scripted/x", method=method))
        meeting = script.meet()
        meeting.asked()
        meeting.send(f"HTTP/1.1 {status}\r\netag: \"1\"\r\n\r\n".encode())
        seen = receive(wire, b"\r\n\r\n")
        assert seen.startswith(f"HTTP/1.1 {status}\r\n".encode())
        assert seen.endswith(b"\r\n\r\n") and b"transfer-encoding" not in seen
        assert read(wire.send(post("openai")).answer()).status == 200


def test_head_of_errors_and_of_own_routes(gateway: Gateway) -> None:
    """HEAD gets an answer's head alone, also of an error and of what the gateway answers itself."""
    with Wire(gateway.port) as wire:
        for path, status in (("/v1/nowhere", b"404"), ("/health", b"200"), (CHAT, b"405")):
            seen = receive(wire.send(request(path=path, method="HEAD")), b"\r\n\r\n")
            assert seen.startswith(b"HTTP/1.1 " + status) and seen.endswith(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", seen)
            assert found and int(found[1]) > 0


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [MEGABYTE - 300, MEGABYTE + 1, 8 * MEGABYTE])
def test_large_bodies(gateway: Gateway, script: Script, size: int, chunked: bool) -> None:
    """Bodies of megabytes go both ways unchanged, whichever framing either side has."""
    sent = json.dumps(asked("openai", model="scripted-1", x="x" * size)).encode()
    reply = completion("y" * size)
    framed = answer(reply) if not chunked else b"".join((
        stream_head().replace(b"text/event-stream; charset=utf-8", b"application/json"),
        *(chunk(reply[at:at + 100_000]) for at in range(0, len(reply), 100_000)), chunk(b"")))
    got, answered = exchange(
        gateway, script, in_chunks(sent, size=70_000) if chunked else request(sent, path=CHAT), framed)
    assert got.body == sent
    assert answered.body == reply


def test_answers_that_end_with_the_connection(gateway: Gateway, script: Script) -> None:
    """A provider that still speaks HTTP/1.0 is understood: its answer ends when it closes."""
    with Wire(gateway.port) as wire:
        wire.send(post("openai", model="scripted-1"))
        meeting = script.meet()
        meeting.asked()
        meeting.send(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + ANSWERS["openai"]).close()
        answered = read(wire.answer())
        assert answered.body == ANSWERS["openai"]
        assert read(wire.send(post("openai")).answer()).status == 200


def test_interim_answers(gateway: Gateway, script: Script) -> None:
    """Interim answers of the provider are its own affair."""
    reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer(ANSWERS["openai"])
    _, answered = exchange(gateway, script, post("openai", model="scripted-1"), reply)
    assert (answered.status, answered.body) == (200, ANSWERS["openai"])
    assert "link" not in answered.fields


def said(answered: Answer) -> str:
    """What the simulator echoes."""
    text: str = answered.json()["choices"][0]["message"]["content"]
    return text.split()[2]


def number(value: int, **headers: str | None) -> bytes:
    """A request whose answer names the number."""
    return post("openai", messages=[{"role": "user", "content": f"number-{value}"}], headers=headers)


def test_pipelined_requests(gateway: Gateway, simulator: Simulator) -> None:
    """Requests sent without waiting are answered one by one, in their order, errors among them."""
    with Wire(gateway.port) as wire:
        bad = request(path="/v1/nowhere", method="GET")
        wire.send(b"".join((number(1), number(2), bad, number(3), request(path="/livez", method="GET"), number(4))))
        data, answers = b"", []
        while len(answers) < 6:
            data = receive(wire, b"\r\n\r\n", data)
            head, _, rest = data.partition(b"\r\n\r\n")
            found = re.search(rb"content-length: (\d+)", head)
            assert found
            size = int(found[1])
            while len(rest) < size:
                rest += wire.socket.recv(1 << 16)
            answers.append((int(head[9:12]), rest[:size]))
            data = rest[size:]
    assert [status for status, _ in answers] == [200, 200, 404, 200, 200, 200]
    numbers = [re.search(rb"number-(\d)", body) for _, body in answers]
    assert [found and int(found[1]) for found in numbers] == [1, 2, None, 3, None, 4]


def test_both_sides_are_kept(gateway: Gateway, simulator: Simulator) -> None:
    """One connection of a client carries many requests, and so does the one to the provider."""
    with Wire(gateway.port) as wire:
        for value in range(10):
            assert said(read(wire.send(number(value)).answer())) == f"number-{value}"
    assert len({each["connection"] for each in simulator.requests()}) == 1


def test_a_kept_connection_that_the_provider_closes(gateway: Gateway, simulator: Simulator) -> None:
    """A provider that closes kept connections, before the next request or under it, costs no request."""
    with Wire(gateway.port) as wire:
        for fault in ("close-idle=0", None, "close-idle=0", None):
            assert read(wire.send(post("openai", spec=fault)).answer()).status == 200
        simulator.fault("reset=0", times=1)
        assert read(wire.send(post("openai")).answer()).status == 200
    assert [each["fault"] for each in simulator.requests()][-2:] == ["reset=0", None]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_provider_that_answers_once_a_connection(most: int) -> None:
    """A provider that says it keeps connections and closes each at its second request costs no request either."""
    def once(line: Line) -> None:
        if line.request():
            line.send(completed())
            line.head()
            line.reset()

    with Provider(once) as provider, ThreadPoolExecutor(8) as clients:
        config = configuration(provider.url)
        config["providers"] = {"openai": {**config["providers"]["openai"], "max_connections": most}}
        with Gateway(config) as edge:
            def ask_often(_: int) -> list[int]:
                with Wire(edge.port) as wire:
                    return [read(wire.send(post("openai")).answer()).status for _ in range(15)]
            assert [status for found in clients.map(ask_often, range(8)) for status in found] == [200] * 120


def test_connection_close(gateway: Gateway, simulator: Simulator) -> None:
    """A client that says close gets its answer, is told close, and the connection ends."""
    for data in (number(1, connection="close"), request(path="/v1/nowhere", headers={"connection": "close"}),
                 request(path="/health", method="GET", headers={"connection": "close"})):
        with Wire(gateway.port) as wire:
            seen = wire.send(data).read(quiet=5)
            assert seen.end == "fin"
            assert read(seen).fields["connection"] == "close"


@pytest.mark.parametrize("stream", [False, True])
def test_http_1_0(gateway: Gateway, simulator: Simulator, stream: bool) -> None:
    """A client of HTTP/1.0 gets no chunks, and the connection ends with the answer."""
    data = post("openai", stream=stream).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"host: gateway\r\n", b"")
    with Wire(gateway.port) as wire:
        seen = wire.send(data).read(quiet=5)
    assert seen.end == "fin"
    answered = read(seen)
    assert answered.fields["connection"] == "close"
    assert "transfer-encoding" not in answered.fields
    assert answered.body.endswith(b"data: [DONE]\n\n") if stream else answered.json()["choices"]


def test_http_1_0_kept_alive(gateway: Gateway, simulator: Simulator) -> None:
    """A client of HTTP/1.0 that asks to keep the connection is told that it is kept, and it is."""
    with Wire(gateway.port) as wire:
        for value in range(2):
            data = number(value, connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0")
            answered = read(wire.send(data).answer())
            assert answered.fields["connection"] == "keep-alive"
            assert said(answered) == f"number-{value}"


def test_expect_continue(gateway: Gateway, simulator: Simulator) -> None:
    """A client that waits for a go-ahead gets it before its body, and gets a refusal at once instead."""
    whole = number(7, expect="100-continue")
    head, blank, body = whole.partition(b"\r\n\r\n")
    with Wire(gateway.port) as wire:
        wire.send(head + blank)
        assert receive(wire, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert said(read(wire.send(body).answer())) == "number-7"
    with Wire(gateway.port) as wire:
        seen = wire.send(head.replace(KEY.encode(), b"sk-wrong-0123456789abcdef") + blank).read(quiet=5)
        assert (seen.end, read(seen).status) == ("fin", 401)
    assert ask(gateway.port, whole).status == 200
    assert len(simulator.requests()) == 2


IDS = {"plain": "a", "all kinds": "Aa0-._:z", "longest": "x" * 64}
HOSTILE_IDS = {"empty": "", "too long": "x" * 65, "blank": "a b", "quote": 'a"b', "markup": "<script>", "byte": "a\xe9",
               "semicolon": "a;b", "slash": "../../x", "braces": "{model}", "tab": "a\tb"}


@pytest.mark.parametrize("name", [*IDS, *HOSTILE_IDS])
def test_request_ids(gateway: Gateway, script: Script, name: str) -> None:
    """A client's id is used everywhere when it is fit to be repeated, and else one of the gateway's own."""
    sent = {**IDS, **HOSTILE_IDS}[name]
    data = post("anthropic", model="scripted-1", headers={"x-request-id": sent}).decode().encode("latin-1")
    got, answered = exchange(gateway, script, data, answer(ANSWERS["anthropic"]))
    used = answered.fields["x-request-id"]
    assert used == sent if name in IDS else re.fullmatch(r"req-[0-9a-f]{16}", used)
    assert got.field("x-request-id") == answered.fields["request-id"] == used
    refused = ask(gateway.port, request({"messages": HELLO}, path=PATHS["anthropic"], headers={
        "x-request-id": sent}).decode().encode("latin-1"))
    used = refused.json()["request_id"]
    assert used == sent if name in IDS else re.fullmatch(r"req-[0-9a-f]{16}", used)
    assert refused.fields["x-request-id"] == refused.fields["request-id"] == used


def test_ids_of_their_own(gateway: Gateway, simulator: Simulator) -> None:
    """Every request that brings no id has one of its own, on one connection too."""
    with Wire(gateway.port) as wire:
        found = {read(wire.send(number(value)).answer()).fields["x-request-id"] for value in range(20)}
    assert len(found) == 20
    assert found == {value for each in simulator.requests() for name, value in each["headers"]
                     if name == "x-request-id"}
