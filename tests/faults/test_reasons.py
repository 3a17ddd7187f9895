"""What is said of a failure: to the client whose fault it is, to the operator all that helps to find it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults.pair import Pair, ask
from tests.support.gateway import Gateway, configuration
from tests.support.provider import Line, Provider, answer
from tests.support.talk import Talk, chat, request

REFUSES = {"all_open": "refuse"}


@pytest.mark.parametrize(("contract", "fault", "status", "code", "condition"), [
    ("tokenpak", "status=401", 502, "PROVIDER_001", "provider_auth"),
    ("tokenpak", "status=429;retry-after=30", 429, "RATELIMIT_002", "keys_limited"),
    ("tokenbay", "status=401", 503, "provider_auth", "provider_auth"),
    ("openai", "error=key", 502, "provider_auth", "provider_auth"),
    ("openai", 'status=429;body={"error":{"code":"insufficient_quota"}}', 502, "provider_quota", "provider_quota"),
    ("generic", "status=429;retry-after=30", 502, "keys_limited", "keys_limited"),
])
def test_a_key_that_rests_says_why(pair: Pair, contract: str, fault: str, status: int, code: str,
                                   condition: str) -> None:
    """Where all of a provider's keys rest, and nobody is asked, the answer is what was said of the keys."""
    edge = pair.edge(contract=contract, circuit_breaker=REFUSES, retry={"max": 0})
    for number in range(3):
        found = ask(edge, "lone", fault=fault)
        told = "provider_rate_limited" if number == 0 and condition == "keys_limited" else condition
        assert (found.status_code, found.headers["x-edge-condition"]) == (status, told)
        assert found.json()["error"]["code"] == (told if code == condition else code)
        assert pair.calls() == (1, 0)
    if condition == "keys_limited":
        assert 28 <= int(found.headers["retry-after"]) <= 30
    else:
        assert (found.headers["x-should-retry"], found.headers.get("retry-after")) == ("false", None)


def test_the_first_key_to_be_back_decides(pair: Pair) -> None:
    """Of several keys that rest for several reasons it is the one that is back first that counts, and its time."""
    edge = pair.edge(provider={"keys": ["env:PROVIDER_KEY", "env:TEST_KEY"]}, circuit_breaker=REFUSES)
    pair.first.fault("status=401", key="sk-provider")
    pair.first.fault("status=429;retry-after=20")
    for told in ("provider_rate_limited", "keys_limited"):
        found = ask(edge, "lone")
        assert (found.status_code, found.headers["x-edge-condition"]) == (429, told)
        assert 18 <= int(found.headers["retry-after"]) <= 20


@pytest.mark.parametrize(("status", "words"), [
    (503, "The engine is currently overloaded, please try again later"), (500, "Overloaded"),
    (503, "The model is overloaded. Please try again later."), (503, "llama-3 is currently over capacity"),
    (502, "This model is currently experiencing high demand."), (503, "Server busy"),
    (503, "The service is temporarily AT CAPACITY"), (529, "")])
def test_a_saturated_provider(pair: Pair, status: int, words: str) -> None:
    """A provider that has too much to do says so in many words; to TokenBay's clients all of them are 429."""
    def script(line: Line) -> None:
        if line.request():
            line.send(answer(b'{"error": {"message": "%s", "type": "server_error"}}' % words.encode(),
                             status=b"%d Whatever" % status))

    with Provider(script) as provider:
        edge = pair.edge(providers={"full": {"kind": "openai", "base_url": f"{provider.url}/v1"}},
                         models={"full": "full"}, contract="tokenbay", retry={"max": 0})
        found = ask(edge, "full")
    assert (found.status_code, found.headers["x-edge-condition"]) == (429, "provider_overloaded")
    assert int(found.headers["retry-after"]) >= 1


WRONG: dict[str, tuple[bytes, bytes]] = {
    "nginx": (b"404 Not Found", b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<hr>nginx</html>"),
    "FastAPI": (b"404 Not Found", b'{"detail":"Not Found"}'), "Go": (b"404 Not Found", b"404 page not found\n"),
    "OpenAI": (b"404 Not Found", b'{"error":{"message":"Invalid URL (POST /v1/v1/x)","type":"invalid_request_error"}}'),
    "edge": (b"404 Not Found", b'{"error":{"message":"Unknown request URL: POST /x","code":"unknown_url"}}'),
    "Anthropic": (b"404 Not Found", b'{"type":"error","error":{"type":"not_found_error","message":"Not Found"}}'),
    "Express": (b"404 Not Found", b"<!DOCTYPE html>\n<html><pre>Cannot POST /v1/x</pre></html>"),
    "xAI": (b"404 Not Found", b'{"code":"Some requested entity was not found","error":"No handler found on route."}'),
    "nothing": (b"404 Not Found", b""), "method": (b"405 Method Not Allowed", b'{"detail":"Method Not Allowed"}'),
    "nginx with TLS": (b"400 Bad Request", b"<html>The plain HTTP request was sent to HTTPS port</html>"),
    "Go with TLS": (b"400 Bad Request", b"Client sent an HTTP request to an HTTPS server.\n"),
}
RIGHT = {
    "model, xAI": b'{"code":"Some requested entity was not found","error":"The model grok-9 does not exist or"}',
    "model": b'{"error":{"message":"The model `x` does not exist","code":"model_not_found","param":"model"}}',
    "model, Ollama": b'{"error":{"message":"model \'x\' not found, try pulling it first","type":"not_found_error"}}',
    "file": b'{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id"}}',
}


class Place:
    """A gateway before a provider whose answer the test sets; an alert of TLS where there is none."""

    def __init__(self, stack: ExitStack, **changes: Any) -> None:
        self.reply: bytes | None = b""
        self.provider = stack.enter_context(Provider(self.script))
        config = configuration(self.provider.url, **changes)
        self.edge = stack.enter_context(Gateway(config))

    def script(self, line: Line) -> None:
        """Answers once."""
        if line.request():
            line.send(b"\x15\x03\x01\x00\x02\x02\x16" if self.reply is None else self.reply)

    def told(self) -> list[dict[str, Any]]:
        """What was said of the configuration."""
        return [line for line in self.edge.log_lines() if line["message"] == "provider is asked in the wrong place"]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One for all."""
    with ExitStack() as stack:
        yield Place(stack)


@pytest.mark.parametrize("name", [*WRONG, "TLS"])
def test_a_wrong_base_url(place: Place, name: str) -> None:
    """A provider that does not know the URL, or the protocol, is the configuration's fault, not the client's."""
    place.reply = None if name == "TLS" else answer(WRONG[name][1], status=WRONG[name][0])
    for path, body in (("/v1/chat/completions", {"model": "x", "messages": []}), ("/v1/models", None)):
        data = chat() if body else request(b"", path=path, method="GET")
        with Talk(place.edge.port) as talk:
            found = talk.send(data).answer("POST" if body else "GET")
        assert (found.status, found.header("x-edge-condition"), found.header("x-edge-blame")) == (
            502, "provider_misconfigured", "edge"), found
        assert found.header("x-should-retry") == "false"
    line = place.edge.wait(place.told)[0]
    assert line["base_url"] == f"{place.provider.url}/v1" and "base_url of providers.openai" in line["way_out"]
    assert len(place.told()) == 1                   # once, whatever comes


@pytest.mark.parametrize("name", RIGHT)
def test_a_real_404(place: Place, name: str) -> None:
    """A model or a file that the provider does not know is the client's to mend, in the provider's words."""
    place.reply = answer(RIGHT[name], status=b"404 Not Found")
    for data, method in ((chat(), "POST"), (request(b"", path="/v1/files/file-1", method="GET"), "GET")):
        with Talk(place.edge.port) as talk:
            found = talk.send(data).answer(method)
        assert (found.status, found.header("x-edge-blame")) == (404, "client")


@pytest.mark.parametrize(("status", "error"), [
    (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error", "code": "invalid_request_error"}}),
    (400, {"error": {"message": "invalid model ID", "type": "invalid_request_error", "param": None, "code": None}}),
    (400, {"error": {"message": "The requested model is not supported.", "code": "model_not_supported"}}),
    (404, {"error": {"message": "Unable to access model x.", "param": None, "code": "model_not_available"}}),
    (404, {"error": {"message": "The model 'x' does not exist", "type": "invalid_request_error"}}),
    (404, {"code": "Some requested entity was not found", "error": "The model x does not exist or your team ..."}),
], ids=lambda value: str(value)[:50])
def test_models_that_a_provider_does_not_know(pair: Pair, status: int, error: dict[str, Any]) -> None:
    """A model that the provider does not know is told as such, with the member that names it, in whatever words."""
    def script(line: Line) -> None:
        if line.request():
            line.send(answer(json.dumps(error).encode(), status=b"%d No" % status))

    with Provider(script) as provider:
        edge = pair.edge(providers={"other": {"kind": "openai", "base_url": f"{provider.url}/v1"}},
                         models={"x": "other"}, contract="generic")
        found = ask(edge, "x")
    assert (found.status_code, found.headers["x-edge-condition"]) == (404, "model_unknown")
    assert found.json()["error"]["param"] == "model"


def test_a_path_of_the_clients_own(place: Place) -> None:
    """Below a relayed path it is the client that has chosen the URL that the provider does not know."""
    place.reply = answer(b'{"detail":"Not Found"}', status=b"404 Not Found")
    with Talk(place.edge.port) as talk:
        found = talk.send(request(b"", path="/v1/files/file-1/nowhere", method="GET")).answer("GET")
    assert (found.status, found.header("x-edge-blame")) == (404, "client")


@pytest.mark.parametrize(("method", "path"), [
    ("HEAD", "/v1/models"), ("GET", "/v1/moderations"), ("HEAD", "/v1/moderations"), ("DELETE", "/v1/moderations"),
    ("GET", "/v1/rerank"), ("PUT", "/v1/rerank")])
def test_a_method_of_the_clients_own(method: str, path: str) -> None:
    """A method that the provider does not know at a relayed path is the client's fault, and base_url is not blamed."""
    with ExitStack() as stack:
        place = Place(stack, routes={"/v1/rerank": "openai"})
        place.reply = answer(b"" if method == "HEAD" else b'{"detail":"Method Not Allowed"}', status=b"405 x")
        with Talk(place.edge.port) as talk:
            found = talk.send(request(b"", path=path, method=method)).answer(method)
        assert (found.status, found.header("x-edge-blame")) == (405, "client")
        assert place.told() == []


@pytest.mark.parametrize("contract", ["openai", "token360"])
@pytest.mark.parametrize("status", [400, 404, 413, 422, 425, 451])
def test_the_line_of_a_clients_mistake(contract: str, status: int) -> None:
    """What a provider refuses a client has a line in the log that its request id finds, whatever the contract."""
    with ExitStack() as stack:
        place = Place(stack, contract=contract)
        place.reply = answer(b'{"error":{"message":"m","type":"invalid_request_error"}}', status=b"%d x" % status)
        with Talk(place.edge.port) as talk:
            found = talk.send(chat()).answer()
        [line] = place.edge.wait(lambda: [each for each in place.edge.log_lines() if each.get("request_id")])
        assert (line["message"], line["request_id"]) == ("request refused", found.header("x-request-id"))
        assert (line["blame"], line["upstream_status"]) == ("client", status)


@pytest.mark.parametrize("field", ["x-request-id", "request-id", "apim-request-id", "X-Amzn-RequestId"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_operators_line(place: Place, field: str, stream: bool) -> None:
    """A failure's line names model, target, both statuses, the provider's id of the request, and the reason."""
    identity = f"their-{field}-{stream}".lower()
    place.reply = answer(b'{"error":{"message":"Something broke","type":"server_error"}}',
                         f"{field}: {identity}".encode(), status=b"500 Internal Server Error")
    with Talk(place.edge.port) as talk:
        found = talk.send(chat("their-model", stream=stream)).answer()
    [line] = place.edge.wait(lambda: [each for each in place.edge.log_lines()
                                      if each.get("upstream_request_id") == identity])
    names = ("message", "model", "target", "status", "upstream_status", "attempts", "reason", "condition", "request_id")
    assert {name: line[name] for name in names} == {
        "message": "request failed", "model": "their-model", "target": "openai/*", "status": 502,
        "upstream_status": 500, "attempts": 1, "reason": "Something broke", "condition": "provider_error",
        "request_id": found.header("x-request-id")}


def test_a_line_of_a_failure_without_an_answer(pair: Pair) -> None:
    """Where there was no answer there is no status of the provider's, and the reason is words all the same."""
    edge = pair.edge(retry={"max": 0})
    ask(edge, "lone", fault="cut=0")
    [line] = edge.wait(lambda: [each for each in edge.log_lines() if each["message"] == "request failed"])
    assert (line["status"], line.get("upstream_status")) == (502, None)
    assert line["reason"] == "closed the connection without an answer"
    assert "b'" not in edge.log()


@pytest.mark.parametrize(("scheme", "reason"), [("https", "TLS failure: "), ("http", "Proxy failure: it answered 407")])
def test_reasons_of_connections_that_fail(scheme: str, reason: str) -> None:
    """TLS with a plain port and a proxy that wants a login say so; the former is told as a wrong base_url, once."""
    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"127.0.0.1:{listener.getsockname()[1]}"
        config = configuration("")
        config["providers"] = {"far": {"kind": "openai", "base_url": f"https://{url}/v1" if scheme == "https" else
                                       "https://far.invalid/v1", **({} if scheme == "https" else
                                                                    {"proxy": f"http://{url}"})}}
        with Gateway(config) as edge:
            for _ in range(2):
                found = ask(edge, "x")
                assert (found.status_code, found.headers["x-edge-condition"]) == (502, "provider_unreachable")
            assert found.json()["error"]["message"].startswith(f"Unable to reach provider: {reason}")
            lines = [each for each in edge.log_lines() if each["message"] == "request failed"]
            assert all(each["reason"].startswith(reason) and len(each["reason"]) > 13 for each in lines)
            told = [each for each in edge.log_lines() if each["message"] == "provider is asked in the wrong place"]
            assert len(told) == (scheme == "https")
        listener.shutdown(socket.SHUT_RDWR)
