"""Providers of Azure's make: a query in base_url, the key in a header of its own, and Azure's SDK in front."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import openai
import pytest

from tests.gateway.client import Answer, ask, request
from tests.gateway.script import Asked
from tests.support.gateway import KEY, Gateway, configuration
from tests.support.provider import Line, Provider, answer

VERSION = "api-version=2024-10-21"
HELLO = [{"role": "user", "content": "hello"}]
REFUSED = {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint. "
                                               "Make sure to provide a valid key for an active subscription."}}
LOST = {"error": {"code": "404", "message": "Resource not found"}}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt", "prompt_filter_results": [], "choices": [
    {"index": 0, "finish_reason": "stop", "logprobs": None, "content_filter_results": {},
     "message": {"role": "assistant", "content": "hello there", "refusal": None}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
# Azure's streams begin with an event that is about the prompt and has no choices.
EVENTS: list[dict[str, Any]] = [
    {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    *({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [
        {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": None if text else "stop",
         "content_filter_results": {}, "logprobs": None}]} for text in ("hello", " there", ""))]
EMBEDDINGS = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
              "usage": {"prompt_tokens": 1, "total_tokens": 1}}


class Azure:
    """A gateway before a server that demands what Azure does; `seen` are the requests that it has had."""

    def __init__(self, stack: ExitStack) -> None:
        self.seen: SimpleQueue[Asked] = SimpleQueue()
        self.checks: SimpleQueue[Asked] = SimpleQueue()
        url = stack.enter_context(Provider(self._serve)).url
        azure = {"kind": "openai", "key": "env:PROVIDER_KEY", "key_header": "api-key"}
        deployments = f"{url}/openai/deployments"
        config = configuration("", models={"alias": "azure/real", **{f"{name}-*": name for name in (
            "azure", "v1", "revoked", "ours", "slash")}, "claude": "proxy", "kept": "plain"}, providers={
            "azure": {**azure, "base_url": f"{deployments}/real?{VERSION}"},
            "v1": {**azure, "base_url": f"{url}/openai/v1/?api-version=preview&region=a%20b",
                   "health_check": {"path": "/models?limit=1&API-VERSION=1", "interval": 0.1}},
            "revoked": {**azure, "base_url": f"{deployments}/real?{VERSION}", "key": "env:REVOKED"},
            "ours": {**azure, "base_url": f"{url}/ours?a=1", "key_header": "X-Our-Key"},
            "slash": {"kind": "openai", "base_url": f"{url}/slash?path=/", "key": "env:PROVIDER_KEY"},
            "plain": {"kind": "openai", "base_url": f"{url}/plain", "key": "env:PROVIDER_KEY",
                      "key_header": "AUTHORIZATION"},
            "proxy": {"kind": "anthropic", "base_url": f"{url}/anthropic?tenant=7", "key": "env:PROVIDER_KEY",
                      "key_header": "Authorization"}}, routes={"/v1/rerank": "azure", "/pinned*": "v1"})
        self.edge = stack.enter_context(Gateway(config, environ={"REVOKED": "sk-revoked"}))

    def _serve(self, line: Line) -> None:
        while data := line.request():
            head, _, body = data.partition(b"\r\n\r\n")
            asked = Asked(head, body)
            path, _, query = asked.line.split()[1].partition("?")
            (self.checks if "connection" in dict(asked.fields) else self.seen).put(asked)
            if "openai" in path and asked.field("api-key") != "sk-provider":
                line.send(answer(json.dumps(REFUSED).encode(), status=b"401 PermissionDenied"))
            elif "openai" in path and "api-version=" not in query:
                line.send(answer(json.dumps(LOST).encode(), status=b"404 Resource Not Found"))
            elif path.endswith("/chat/completions") and json.loads(body).get("stream"):
                events = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS) + "data: [DONE]\n\n"
                line.send(answer(events.encode()).replace(b"application/json", b"text/event-stream; charset=utf-8"))
            else:
                line.send(answer(json.dumps(EMBEDDINGS if path.endswith("/embeddings") else CHAT).encode()))

    def ask(self, path: str, body: Any = None, *, method: str = "POST", **fields: str | None) -> tuple[Answer, Asked]:
        """The answer, and the request that the provider has seen."""
        given = {name.replace("_", "-"): value for name, value in fields.items()}
        found = ask(self.edge.port, request(body, path=path, method=method, headers=given))
        return found, self.seen.get(timeout=5)


@pytest.fixture(scope="module")
def azure() -> Iterator[Azure]:
    """One for all of these tests."""
    with ExitStack() as stack:
        yield Azure(stack)


@pytest.mark.parametrize(("asked", "model", "line"), [
    ("/v1/chat/completions", "alias", f"/openai/deployments/real/chat/completions?{VERSION}"),
    ("/chat/completions", "azure-1", f"/openai/deployments/real/chat/completions?{VERSION}"),
    ("/v1/embeddings", "alias", f"/openai/deployments/real/embeddings?{VERSION}"),
    ("/v1/responses", "v1-1", "/openai/v1/responses?api-version=preview&region=a%20b"),
    ("/v1/images/generations", "alias", f"/openai/deployments/real/images/generations?{VERSION}"),
    ("/v1/images/generations?x=1", "v1-1", "/openai/v1/images/generations?api-version=preview&region=a%20b&x=1"),
    ("/v1/rerank", "azure-1", f"/openai/deployments/real/rerank?{VERSION}"),
    ("/pinned/a", "none", "/openai/v1/pinned/a?api-version=preview&region=a%20b"),
    ("/openai/deployments/alias/chat/completions?api-version=2023-05-15", "x",
     f"/openai/deployments/real/chat/completions?{VERSION}"),
    ("/v1/chat/completions", "slash-1", "/slash/chat/completions?path=/"),
    ("/v1/messages?beta=true", "claude", "/anthropic/v1/messages?tenant=7&beta=true"),
    ("/v1/messages/count_tokens", "claude", "/anthropic/v1/messages/count_tokens?tenant=7"),
    ("/v1/chat/completions?a=b", "kept", "/plain/chat/completions?a=b")])
def test_the_query_of_a_base_url(azure: Azure, asked: str, model: str, line: str) -> None:
    """Every request has the query of its provider's base URL, whichever route it came by."""
    body = {"model": model, "messages": HELLO, "input": "x", "prompt": "x", "max_tokens": 5}
    assert azure.ask(asked, body)[1].line == f"POST {line} HTTP/1.1"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_query_without_a_body(azure: Azure, method: str) -> None:
    """What is asked of the dialect's first provider has its query as well."""
    _, seen = azure.ask("/v1/files/file-1?limit=2", method=method, content_type=None)
    assert seen.line == f"{method} /openai/deployments/real/files/file-1?{VERSION}&limit=2 HTTP/1.1"


@pytest.mark.parametrize(("given", "kept"), [
    ("a=b", "&a=b"), ("a=b&c", "&a=b&c"), ("&&a=b&", "&a=b"), ("", ""), ("a=1&a=2", "&a=1&a=2"),
    ("a=?&b=/", "&a=?&b=/"),
    ("api-version=1999-01-01", ""), ("a=b&api-version=1&c=d", "&a=b&c=d"), ("api-version", ""), ("API-Version=1", ""),
    ("%61pi%2Dversion=1", ""), ("a=1;api-version=2&c=d", "&c=d"), ("api-version=1&api-version=2", ""),
    ("xapi-version=1", "&xapi-version=1"), ("a=api-version", "&a=api-version"),
    ("a=%26api-version=1", "&a=%26api-version=1")])
def test_the_providers_names_win(azure: Azure, given: str, kept: str) -> None:
    """A client's query stands behind the provider's, without the names that the provider's has, however written."""
    _, seen = azure.ask(f"/v1/chat/completions?{given}", {"model": "alias", "messages": HELLO})
    assert seen.line == f"POST /openai/deployments/real/chat/completions?{VERSION}{kept} HTTP/1.1"


@pytest.mark.parametrize(("path", "model", "carrier"), [
    ("chat/completions", "alias", ("api-key", "sk-provider")), ("embeddings", "v1-1", ("api-key", "sk-provider")),
    ("images/generations", "alias", ("api-key", "sk-provider")),
    ("chat/completions", "ours-1", ("x-our-key", "sk-provider")),
    ("chat/completions", "kept", ("authorization", "Bearer sk-provider")),
    ("chat/completions", "slash-1", ("authorization", "Bearer sk-provider")),
    ("messages", "claude", ("authorization", "Bearer sk-provider"))])
def test_the_header_of_the_key(azure: Azure, path: str, model: str, carrier: tuple[str, str]) -> None:
    """The provider's key goes in the header that the configuration names, and nothing that a client sent in any."""
    body = {"model": model, "messages": HELLO, "input": "x", "prompt": "x", "max_tokens": 5}
    _, seen = azure.ask(f"/v1/{path}", body, api_key=KEY, x_api_key=KEY, x_our_key="mine", X_OUR_KEY="mine")
    names = {"authorization", "api-key", "x-api-key", "x-our-key"}
    assert [field for field in seen.fields if field[0] in names] == [carrier]
    assert KEY.encode() not in seen.head and b"mine" not in seen.head


def test_health_checks_ask_as_requests_do(azure: Azure) -> None:
    """A health check has the query and the key's header too, and its own path's query behind."""
    seen = azure.checks.get(timeout=5)
    assert seen.line == "GET /openai/v1/models?api-version=preview&region=a%20b&limit=1 HTTP/1.1"
    assert seen.field("api-key") == "sk-provider" and seen.field("authorization") is None


def test_a_key_that_azure_rejects(azure: Azure) -> None:
    """Azure's 401 for our key is the provider's affair, never the client's, and the key is told nowhere."""
    found, seen = azure.ask("/v1/chat/completions", {"model": "revoked-1", "messages": HELLO})
    assert seen.field("api-key") == "sk-revoked"
    assert (found.status, found.fields["x-edge-condition"]) == (502, "provider_auth")
    assert "sk-revoked" not in azure.edge.log() and "sk-provider" not in azure.edge.log()


def test_azures_sdk_before_azure(azure: Azure) -> None:
    """AzureOpenAI with the gateway for its endpoint is served by Azure, plain and streamed; a wrong key is 401."""
    client = openai.AzureOpenAI(azure_endpoint=azure.edge.url, api_key=KEY, api_version="2023-05-15", max_retries=0)
    with client:
        found = client.chat.completions.create(model="alias", messages=HELLO)       # type: ignore[arg-type]
        assert found.choices[0].message.content == "hello there"
        assert azure.seen.get(timeout=5).line == f"POST /openai/deployments/real/chat/completions?{VERSION} HTTP/1.1"
        stream = client.chat.completions.create(model="alias", messages=HELLO, stream=True)     # type: ignore[arg-type]
        chunks = list(stream)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "hello there"
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert json.loads(azure.seen.get(timeout=5).body)["model"] == "real"
        vectors = client.embeddings.create(model="v1-1", input="x", encoding_format="float")
        assert vectors.data[0].embedding == [0.5, 1.0]
        assert azure.seen.get(timeout=5).line.startswith("POST /openai/v1/embeddings?api-version=preview&")
        with pytest.raises(openai.AuthenticationError) as refused:
            client.with_options(api_key="sk-wrong-0123456789abcdef").chat.completions.create(
                model="alias", messages=HELLO)                                      # type: ignore[arg-type]
        assert refused.value.response.headers["x-edge-condition"] == "key_unknown"
        assert azure.seen.empty()
