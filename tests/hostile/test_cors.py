"""Pages of a browser: preflights, and which origins may read an answer (Fetch Standard 3.2)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator
from tests.support.talk import Answer, Talk, ask, asked, chat, in_contract, request

OURS = "https://app.example.com"
THEIRS = ["https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com",
          "https://app.example.com:8443", "HTTPS://APP.EXAMPLE.COM", "https://app.example.com/", "", "*"]
# What is asked, the status, and whether it is with a key.
ASKED: dict[str, tuple[bytes, int]] = {
    "chat": (chat(), 200), "stream": (chat(stream=True), 200),
    "message": (request(asked(max_tokens=1), path="/v1/messages"), 200),
    "relayed": (request({"input": "x"}, path="/v1/moderations"), 200),
    "unknown key": (chat(authorization="Bearer sk-x-0123456789"), 401),
    "no key": (request(asked(), key=None), 401), "no path": (request(asked(), path="/v1/nowhere"), 404),
    "bad body": (request(b"{"), 400), "provider's 429": (chat(fault="status=429;retry-after=7"), 429),
    "provider's 500": (chat(fault="status=500"), 502),
    "models": (request(path="/v1/models", method="GET"), 200),
    "health": (request(path="/health", method="GET", key=None), 200),
    "method": (request(path="/v1/chat/completions", method="GET"), 405),
}


@pytest.fixture(scope="module")
def open_to(simulator: Simulator) -> Iterator[Gateway]:
    """A gateway for pages of one origin, and of a desktop application's."""
    with Gateway(configuration(simulator.url, cors={"origins": [OURS, "tauri://localhost"]})) as running:
        yield running


def of(data: bytes, origin: str | None) -> bytes:
    """The same from a page of that origin."""
    return data if origin is None else data.replace(b"\r\n", b"\r\norigin: %b\r\n" % origin.encode(), 1)


def allowed(answer: Answer) -> str | None:
    """Whose page may read it; never with credentials."""
    assert answer.header("access-control-allow-credentials") is None
    return answer.header("access-control-allow-origin")


def preflight(path: str, origin: str, *, headers: str | None = "authorization,content-type,x-stainless-os") -> bytes:
    """What a browser asks first, without a key."""
    more = {} if headers is None else {"access_control_request_headers": headers}
    return request(path=path, method="OPTIONS", key=None, origin=origin, access_control_request_method="POST", **more)


@pytest.mark.parametrize("name", ASKED)
def test_answers_that_a_page_may_read(open_to: Gateway, name: str) -> None:
    """Answers, streams and errors name the page's own origin, what it may read of them, and that they differ by it."""
    data, status = ASKED[name]
    method = data.split(b" ")[0].decode()
    for origin in (OURS, "tauri://localhost"):
        found = ask(open_to.port, of(data, origin), method)
        assert (found.status, allowed(found)) == (status, origin)
        exposed = (found.header("access-control-expose-headers") or "").split(", ")
        assert {"x-request-id", "retry-after", "x-ratelimit-remaining", "x-edge-condition"} <= set(exposed)
        assert b"origin" in [value for field, value in found.fields if field == b"vary"]


@pytest.mark.parametrize("origin", [*THEIRS, None])
def test_answers_that_it_may_not(open_to: Gateway, origin: str | None) -> None:
    """Another origin is served as ever, as who has a key is no page, and its browser keeps the answer from it."""
    for data in (chat(), chat(stream=True), request(asked(), key=None)):
        found = ask(open_to.port, of(data, origin))
        assert allowed(found) is None and found.header("access-control-expose-headers") is None
        assert found.header("vary") == "origin"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/files", "/v1/models", "/health", "/no"])
def test_preflights(open_to: Gateway, path: str) -> None:
    """A browser that asks first is answered without a key, on a connection that goes on; another origin is not."""
    with Talk(open_to.port) as talk:
        found = talk.send(preflight(path, OURS)).answer("OPTIONS")
        assert (found.status, allowed(found), found.body) == (204, OURS, b"")
        assert found.header("access-control-allow-headers") == "authorization,content-type,x-stainless-os"
        assert "POST" in (found.header("access-control-allow-methods") or "").split(", ")
        assert found.header("x-request-id") and found.header("date") and found.header("access-control-max-age")
        assert talk.send(preflight(path, OURS, headers=None)).answer("OPTIONS").status == 204
        refused = talk.send(preflight(path, THEIRS[0])).answer("OPTIONS")
        assert refused.status in (404, 405) and allowed(refused) is None


def test_it_is_off_unless_configured(simulator: Simulator) -> None:
    """Without origins there is no word of them, and a preflight is a method like others."""
    with Gateway(configuration(simulator.url)) as running:
        found = ask(running.port, of(chat(), OURS))
        assert allowed(found) is None and found.header("vary") is None
        in_contract(ask(running.port, preflight("/v1/chat/completions", OURS), "OPTIONS"), "method_not_allowed")


def test_any_origin(simulator: Simulator) -> None:
    """* allows every page, still without credentials."""
    with Gateway(configuration(simulator.url, cors={"origins": ["*"]})) as running:
        for origin in (OURS, THEIRS[0], "null"):
            assert allowed(ask(running.port, of(chat(), origin))) == "*"
            assert ask(running.port, preflight("/v1/messages", origin), "OPTIONS").status == 204
