"""What makes an answer an answer: a table of what a provider may send under 2xx and 3xx, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.stage import JSON, SSE, Stage, head, plain, streamed
from tests.gateway.events import DIALECTS
from tests.gateway.script import chunk
from tests.support.provider import Line
from tests.support.talk import Surface, Talk, ask, in_contract, request

SECRET = "user:hidden@"


@dataclass(frozen=True)
class Case:
    """What a provider sends, whether a stream was asked for, whether another target gets it, and what is said."""

    data: Callable[[Any], bytes]
    stream: bool = False
    elsewhere: bool = True
    words: str = ""
    condition: str = "provider_response_invalid"


HTML = b"<!DOCTYPE html><html><body>Welcome</body></html>"


def always(data: bytes) -> Callable[[Any], bytes]:
    """The same whatever the dialect."""
    return lambda _: data


def coded(coding: str) -> Callable[[Any], bytes]:
    """A good answer that says it is coded."""
    return lambda dialect: plain(dialect.plain, f"Content-Encoding: {coding}\r\n")


REDIRECTS = {f"a redirect, {status}": Case(
    always(plain(b"{}", f"location: https://{SECRET}other.example:99/v1/x?key=hidden\r\n", status)),
    words="other.example: check base_url", stream=status.startswith("307"))
    for status in ("300 Multiple Choices", "301 Moved Permanently", "302 Found", "303 See Other", "304 Not Modified",
                   "305 Use Proxy", "307 Temporary Redirect", "308 Permanent Redirect", "399 Odd")}
NONE = {
    **REDIRECTS,
    "a redirect within the host": Case(lambda _: plain(b"", "location: /login?next=hidden\r\n", "302 Found"),
                                       words="within 127.0.0.1: check base_url"),
    "a redirect to nowhere": Case(lambda _: head("", "302 Found"), words="check base_url"),
    "a redirect to a line of noise": Case(
        lambda _: plain(b"", "location: http://[hidden\r\n", "307 x"), words="check base_url"),
    "no content": Case(always(head("", "204 No Content")), words="status 204"),
    "no content that is reset": Case(always(plain(b"", JSON, "205 x")), words="status 205"),
    "a part": Case(always(plain(b"{}", JSON, "206 x")), words="status 206"),
    "no content for a stream": Case(lambda _: head("", "204 No Content"), stream=True, words="status 204"),
    "nothing": Case(lambda _: plain(b"")),
    "blanks": Case(lambda _: plain(b" \r\n\n\t")),
    "nothing in chunks": Case(lambda _: head("transfer-encoding: chunked\r\n") + chunk(b"")),
    "nothing until the end": Case(lambda _: head("")),
    "an empty stream": Case(lambda _: streamed(b"\n\n"), stream=True, condition="provider_cut"),
    "HTML": Case(lambda _: plain(HTML, "content-type: text/html\r\n")),
    "HTML that says it is JSON": Case(lambda _: plain(HTML)),
    "HTML for a stream": Case(lambda _: plain(HTML, "content-type: text/html\r\n"), stream=True),
    "HTML that says it is a stream": Case(lambda _: streamed(HTML), stream=True),
    "long HTML": Case(lambda _: plain(HTML + b" " * (2 << 20) + b"}")),
    "long HTML in chunks": Case(lambda _: head("transfer-encoding: chunked\r\n") + chunk(HTML)
                                + chunk(b" " * (2 << 20)) + chunk(b"")),
    "a list": Case(lambda _: plain(b"[{}]")), "a string": Case(lambda _: plain(b'"ok"')),
    "null": Case(lambda _: plain(b"null")), "a number": Case(lambda _: plain(b"12")), "a word": Case(
        lambda _: plain(b"OK", "content-type: text/plain\r\n")),
    "half of an object": Case(lambda dialect: plain(dialect.plain[:-9]), elsewhere=False),
    "two objects": Case(lambda dialect: plain(dialect.plain + b"{}"), elsewhere=False),
    "a stream that nobody asked for": Case(lambda dialect: streamed(dialect.stream), elsewhere=False),
    "the same as JSON": Case(lambda dialect: streamed(dialect.stream, JSON), elsewhere=False),
    "a plain answer to a stream": Case(lambda dialect: plain(dialect.plain), stream=True, elsewhere=False),
    "the same as a stream": Case(lambda dialect: streamed(dialect.plain), stream=True, elsewhere=False),
    "a long plain answer to a stream": Case(
        lambda dialect: plain(dialect.plain[:-1] + b" " * (2 << 20) + b"}"), stream=True, elsewhere=False),
    **{f"coded as {coding}": Case(coded(coding), elsewhere=False, words="content coding")
       for coding in ("gzip", "GZIP", "br", "zstd", "identity, gzip", "identity\r\ncontent-encoding: deflate")},
    "a stream that is coded": Case(lambda dialect: streamed(dialect.stream, f"{SSE}content-encoding: gzip\r\n"),
                                   stream=True, elsewhere=False, words="content coding"),
}


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
@pytest.mark.parametrize("case", NONE)
def test_no_answer(stage: Stage, case: str, name: str) -> None:
    """What is no answer is the provider's fault: 502 in contract, or another target's good answer where nobody has
    worked on the request yet; no field of it leads a client away, and no URL is told."""
    told = NONE[case]
    surface: Surface = "anthropic" if name == "messages" else "openai"
    stage.play(told.data(DIALECTS[name]))
    found = in_contract(stage.ask(name, stream=told.stream), told.condition, surface, status=502)
    assert told.words in found.json["error"]["message"]
    assert b"hidden" not in found.body
    assert not {name for name, _ in found.fields} & {b"location", b"content-location", b"refresh", b"link"}
    stage.play(told.data(DIALECTS[name]))
    found = stage.ask(name, "both", stream=told.stream)
    assert stage.asked == [1, 1 if told.elsewhere else 0]
    assert found.status == (200 if told.elsewhere else 502)
    if told.elsewhere:
        assert found.body == (DIALECTS[name].stream if told.stream else DIALECTS[name].plain)


@pytest.mark.parametrize("coding", ["gzip", "BR, identity", "identity", "zstd\r\ncontent-encoding: gzip"])
@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "422 x"])
@pytest.mark.parametrize("name", ["chat", "embeddings", "messages", "rerank"])
def test_a_plain_error_that_says_it_is_coded(stage: Stage, name: str, status: str, coding: str) -> None:
    """A client's mistake in a provider's words is passed on as the plain JSON that it is, whatever its fields say."""
    body = b'{"type": "error", "error": {"message": "m", "type": "invalid_request_error"}}'
    path = {"embeddings": "/v1/embeddings", "rerank": "/v1/rerank"}.get(name)
    asked = {"model": "lone", "messages": [], "input": "x", "max_tokens": 5}
    for fields in (JSON, "content-type: text/plain\r\n"):
        stage.play(plain(body, f"{fields}content-encoding: {coding}\r\n", status))
        found = ask(stage.edge.port, request(asked, path=path or DIALECTS[name].path))
        assert (found.status, found.header("content-encoding")) == (int(status[:3]), None)
        assert found.header("content-type") == "application/json" and found.json["error"]["message"] == "m"


LONG = "x" * (2 << 20)
LONG_ERRORS = {
    "chat": {"error": {"message": LONG}}, "chat, before what is long": {"error": {"message": "m"}, "more": LONG},
    "chat, words": {"error": LONG}, "embeddings": {"object": "error", "error": {"message": LONG}},
    "messages": {"type": "error", "error": {"type": "api_error", "message": LONG}},
    "responses": {"error": {"message": LONG}}, "count_tokens": {"error": {"message": LONG}},
}


@pytest.mark.parametrize("case", LONG_ERRORS)
def test_a_long_error_in_disguise(stage: Stage, case: str) -> None:
    """An error under 200 is the provider's fault however long it is, and whatever its framing."""
    name = case.partition(",")[0]
    path = {"embeddings": "/v1/embeddings", "count_tokens": "/v1/messages/count_tokens"}.get(name)
    asked = {"model": "lone", "messages": [], "input": "x", "max_tokens": 5}
    body = json.dumps(LONG_ERRORS[case]).encode()
    for sent in (plain(body), head("transfer-encoding: chunked\r\n") + chunk(body[:9]) + chunk(body[9:]) + chunk(b""),
                 head("") + body):
        stage.play(sent)
        found = ask(stage.edge.port, request(asked, path=path or DIALECTS[name].path))
        assert (found.status, found.header("x-edge-condition")) == (502, "provider_error")
        assert len(found.body) < 2000


def test_a_long_response_that_failed(stage: Stage) -> None:
    """A long response that says it has failed goes to the client as it is, and is counted as what it says."""
    body = json.dumps({"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "m"},
                       "output": LONG}).encode()
    labels = {"route": "responses", "condition": "provider_error"}
    before = stage.edge.metric("edge_requests_total", **labels)
    stage.play(plain(body))
    assert stage.ask("responses").body == body
    stage.edge.wait(lambda: stage.edge.metric("edge_requests_total", **labels) == before + 1)


def test_long_answers_are_as_they_came(stage: Stage) -> None:
    """A good long answer goes on byte for byte, wherever the part ends by which it is judged."""
    good = b'{"choices": [], "more": "%b", "usage": {"prompt_tokens": 101}, "error": null}'
    for name, size in [("chat", (1 << 20) - cut) for cut in range(20, len(good))] + [("messages", 2 << 20)]:
        body = good % (b"x" * size) + b" " * 90
        for sent in (plain(body), head("") + body) if size % 9 == 0 else (plain(body),):
            stage.play(sent)
            found = stage.ask(name)
            assert (found.status, found.body) == (200, body), size


def test_a_stream_of_nothing_but_its_end(stage: Stage) -> None:
    """A chat stream in which no choice has begun answers nobody, and another target may."""
    for data in (b"data: [DONE]\n\n", b": ping\n\ndata: [DONE]\n\n"):
        stage.play(streamed(data))
        in_contract(stage.ask("chat", stream=True), "provider_response_invalid", status=502)
        stage.play(streamed(data))
        assert stage.ask("chat", "both", stream=True).body == DIALECTS["chat"].stream
        assert stage.asked == [1, 1]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_a_stream_byte_by_byte(stage: Stage, name: str, mark: bytes) -> None:
    """A good stream is one however its bytes come, with a byte order mark or without."""
    dialect = DIALECTS[name]

    def script(line: Line) -> None:
        line.request()
        line.send(head(f"{SSE}transfer-encoding: chunked\r\n"))
        for byte in mark + dialect.stream:
            line.send(chunk(bytes([byte])))
        line.send(chunk(b""))

    stage.first.hang_up()
    stage.first.script = script
    found = stage.ask(name, stream=True)
    assert (found.status, found.body) == (200, mark + dialect.stream)


UNDONE = {"no content": head("", "204 No Content"), "a redirect": plain(b"", "location: /x\r\n", "302 x"),
          "HTML": plain(HTML), "nothing": plain(b"")}
TAKEN = {"noise": b"noise\r\n\r\n", "half a head": b"HTTP/1.1 200 OK\r\nx: ", "nothing": b"",
         "a switch": head("", "101 x"), "interim answers without end": head("", "103 x") * 9,
         "a status out of range": head("content-length: 0\r\n", "600 x"), "half a body": plain(b"{}")[:-1],
         "a bad chunk": head(f"{JSON}transfer-encoding: chunked\r\n") + b"no\r\n"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("then", TAKEN)
@pytest.mark.parametrize("first", UNDONE)
def test_each_attempt_for_itself(stage: Stage, first: str, then: str, stream: bool) -> None:
    """That one provider has not done the work says nothing of the next, which may have: it is not asked for again."""
    stage.play(UNDONE[first], TAKEN[then])
    found = stage.ask("chat", "three", stream=stream)
    assert (found.status, found.header("x-should-retry"), stage.asked) == (502, "false", [2, 0])


TYPES = {"text/plain": "content-type: text/plain; charset=utf-8\r\n", "none": "", "the other one": "",
         "HTML": "Content-TYPE: text/html\r\n", "octets": "content-type: application/octet-stream\r\n",
         "two": f"content-type: text/html\r\n{JSON}", "upper case": "content-type: TEXT/Event-Stream\r\n",
         "identity": "content-encoding: identity\r\n", "Identity": "Content-Encoding: Identity ,\r\n",
         "nothing": "content-encoding:\r\n",
         "leads away": "location: /x\r\ncontent-location: /x\r\nrefresh: 0; url=/x\r\nlink: </x>; rel=next\r\n"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
@pytest.mark.parametrize("kind", TYPES)
def test_an_answer_whatever_its_fields_say(stage: Stage, kind: str, name: str, stream: bool) -> None:
    """A good answer is known by its bytes, and has the right Content-Type for the client."""
    dialect = DIALECTS[name]
    fields = TYPES[kind] or {"none": "", "the other one": JSON if stream else SSE}[kind]
    body = dialect.stream if stream else b"\r\n \n" + dialect.plain
    for data in (streamed(body, fields), plain(body, fields), head(fields) + body):
        stage.play(data)
        found = stage.ask(name, stream=stream)
        assert (found.status, found.body) == (200, body)
        assert (found.header("content-type") or "").lower() == ("text/event-stream" if stream else "application/json")
        gone = ("location", "content-location", "refresh", "link", "content-encoding")
        assert [found.header(field) for field in gone] == [None] * len(gone)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_first_bytes_that_come_one_by_one(stage: Stage, name: str, stream: bool) -> None:
    """What a body is, is known also where it comes in the smallest pieces."""
    dialect = DIALECTS[name]
    for body, good in ((dialect.stream if stream else dialect.plain, True), (HTML, False),
                       (dialect.plain if stream else dialect.stream, False)):
        stage.play(head("transfer-encoding: chunked\r\n") + b"".join(
            chunk(body[at:at + 1]) for at in range(len(body))) + chunk(b""))
        found = stage.ask(name, stream=stream)
        assert found.status == (200 if good else 502)
        if good:
            assert found.body == body


@pytest.mark.parametrize("status", [201, 202, 203, 207])
def test_other_statuses_of_success(stage: Stage, status: int) -> None:
    """An object under another 2xx is an answer, with its status."""
    stage.play(plain(DIALECTS["chat"].plain, JSON, f"{status} x"))
    assert stage.ask("chat").status == status


def test_counted_tokens(stage: Stage) -> None:
    """Also the answer to count_tokens must be an object."""
    asked = request({"model": "lone", "messages": []}, path="/v1/messages/count_tokens")
    for body, status in ((b'{"input_tokens":3}', 200), (HTML, 502), (b"", 502), (b"[]", 502),
                         (b'{"type":"error","error":{"type":"api_error","message":"m"}}', 502)):
        stage.play(plain(body))
        assert ask(stage.edge.port, asked).status == status


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/v1/rerank"), ("GET", "/v1/files/file-1/content"), ("POST", "/v1/images/generations"),
    ("POST", "/v1/messages/batches"), ("DELETE", "/v1/files/file-1"), ("HEAD", "/v1/files/file-1"),
    ("GET", "/v1/models/x")])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_of_relayed_paths(stage: Stage, status: int, method: str, path: str) -> None:
    """No redirect is passed on anywhere: SDKs follow it with the body, and some with the key."""
    stage.play(plain(b"" if method == "HEAD" else b"{}", "location: https://other.example/x?hidden\r\n", f"{status} x"))
    body = {"model": "lone"} if method == "POST" else None
    found = ask(stage.edge.port, request(body, path=path, method=method), method)
    if path.startswith("/v1/models"):
        return                              # the gateway's own
    assert (found.status, found.header("x-edge-condition")) == (502, "provider_response_invalid")
    assert found.header("location") is None and b"hidden" not in found.body


def test_what_relayed_paths_promise(stage: Stage) -> None:
    """A relayed path may have no content, a part, a page or a coding for its answer, as its provider likes."""
    for data, status, body in ((head("", "204 No Content"), 204, b""), (plain(HTML, "", "206 x"), 206, HTML),
                               (head("", "304 Not Modified"), 304, b""),
                               (plain(b"\x1f", "content-encoding: gzip\r\n"), 200, b"\x1f")):
        stage.play(data)
        found = ask(stage.edge.port, request(path="/v1/files/file-1/content", method="GET"), "GET")
        assert (found.status, found.body) == (status, body)


def test_a_complete_stream_frees_its_client(stage: Stage) -> None:
    """A stream ends for the client with its last event, whatever the provider does with the connection; one that ends
    its framing soon is used again, another one is not."""
    dialect = DIALECTS["chat"]
    whole = head(f"{SSE}transfer-encoding: chunked\r\n") + chunk(dialect.stream)
    for after, again in ((b"", False), (chunk(b""), True), (chunk(b": more\n\n"), False), (b"junk\r\n", False)):
        stage.play(whole, end=False)
        begun = stage.first.connections
        with Talk(stage.edge.port) as talk:
            for number in range(2):
                talk.send(request({**dialect.body, "model": "lone", "stream": True}))
                assert talk.answer(seconds=3).body == dialect.stream
                assert stage.asked[0] == number + 1
                if after:
                    stage.first.lines[-1].send(after)
        assert stage.first.connections - begun == (1 if again else 2)
    assert stage.edge.metric("edge_requests_total", condition="provider_stalled") == 0
