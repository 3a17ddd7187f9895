"""The playground: what a key would get, tried by an operator who does not have its secret."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from click.testing import CliRunner

from edge.cli import main
from tests.gateway.client import HELLO, PATHS
from tests.gateway.parties import call, key_with
from tests.support.gateway import PLAIN, Gateway

Start = Callable[..., Gateway]


@pytest.fixture(scope="module", params=["tokenfactory", "openai", "tokenbay"])
def edge(start: Start, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway with a store, under contracts of different envelopes."""
    with start(contract=request.param, store="edge.db", workers=2) as gateway:
        yield gateway


def play(gateway: Gateway, key: str | None = "test", *, path: str = PATHS["openai"], spec: str | None = None,
         **body: Any) -> httpx.Response:
    """A request for a key."""
    fields = {"x-edge-key": key, "x-simulate": spec}
    return httpx.post(f"{gateway.admin}/admin/playground{path}", json={"model": "sim-1", "messages": HELLO, **body},
                      headers={name: value for name, value in fields.items() if value is not None}, **PLAIN)


def test_a_keys_answer(edge: Gateway) -> None:
    """The answer is the provider's, for keys of the file and of the store, plain or as a stream, in both dialects."""
    key_with(edge, name="tried", allowed_addresses=["192.0.2.1"])
    for key in ("test", "tried"):
        plain = play(edge, key)
        assert (plain.status_code, plain.json()["object"]) == (200, "chat.completion")
        assert plain.headers["x-edge-target"] and plain.headers["content-type"] == "application/json"
        stream = play(edge, key, stream=True)
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.content.endswith(b"data: [DONE]\n\n")
        message = play(edge, key, path=PATHS["anthropic"], max_tokens=10)
        assert (message.status_code, message.json()["type"]) == (200, "message")
    call(edge, "DELETE", "keys/tried")


@pytest.mark.parametrize(("spec", "condition"), [
    ("status=500", "provider_error"), ("status=401", "provider_auth"),
    ("cut=0", "provider_disconnected"), ("malformed=json", "provider_response_invalid")])
def test_failures_come_with_their_class(edge: Gateway, spec: str, condition: str) -> None:
    """What fails at the provider comes as code, message and details, whatever the contract's own envelope is."""
    failed = play(edge, spec=spec)
    said = failed.json()
    assert set(said) == {"code", "message", "details"} and said["code"] and said["message"]
    details = said["details"]
    assert (details["condition"], details["blame"]) == (condition, "upstream")
    assert details["status"] == failed.status_code and details["request_id"].startswith("req-")
    assert failed.status_code >= 500


def test_it_is_the_keys_own_request(edge: Gateway) -> None:
    """The key's state, models and limits hold, and what is tried counts to it."""
    key_with(edge, name="own", models=["sim-1"], rate_limit={"requests_per_minute": 2})
    assert play(edge, "own", model="gpt-4o").json()["details"]["condition"] == "model_denied"
    assert [play(edge, "own").status_code for _ in range(2)] == [200, 200]
    limited = play(edge, "own")
    assert limited.json()["details"]["condition"] == "rate_limited" and limited.headers["retry-after"]
    assert call(edge, "POST", "keys/own/freeze").status_code == 200
    assert play(edge, "own").json()["details"]["condition"] == "key_frozen"
    assert call(edge, "DELETE", "keys/own").status_code == 200
    assert play(edge, "own").status_code == 404


def test_what_it_does_not_take(edge: Gateway) -> None:
    """No key, no such key, no such path, a body that is none: told as on the rest of the admin port, or of the key."""
    assert "x-edge-key" in play(edge, None).text and play(edge, None).status_code == 400
    assert play(edge, "nobody").status_code == 404
    assert play(edge, path="/v1/files").status_code == 404
    assert httpx.get(f"{edge.admin}/admin/playground{PATHS['openai']}", **PLAIN).status_code == 405
    wrong = httpx.post(f"{edge.admin}/admin/playground{PATHS['openai']}", content=b"{", headers={
        "x-edge-key": "test", "content-type": "application/json"}, **PLAIN)
    assert wrong.json()["details"]["condition"] == "json_invalid"


def test_the_command(edge: Gateway) -> None:
    """`edge keys try` prints what a model says to a key, or why it does not."""
    for name, code, said in (("test", 0, "You said: ping"), ("nobody", 1, "no key nobody")):
        done = CliRunner().invoke(main, ["keys", "try", name, "sim-1", "ping", "--admin", edge.admin])
        assert done.exit_code == code and said in done.output, done.output
    done = CliRunner().invoke(main, ["keys", "try", "test", "closed", "ping", "--admin", edge.admin])
    assert done.exit_code == 1 and "provider_unreachable" in done.output


def test_the_secret_is_gone(edge: Gateway) -> None:
    """Each request leaves the directory of keys as it was."""
    before = call(edge, "GET", "config").json()["keys"]
    for _ in range(5):
        assert play(edge).status_code == 200
    assert call(edge, "GET", "config").json()["keys"] == before


def test_viewers_may_not(configure: Callable[..., dict[str, Any]], environ: dict[str, str]) -> None:
    """It is for operators: a viewer's token does not spend."""
    viewer = "sk-viewer-0123456789"
    tokens = [{"name": "looks", "token": "env:VIEWER", "scope": "viewer"}]
    with Gateway(configure(admin={"port": 0, "tokens": tokens}), environ={**environ, "VIEWER": viewer}) as gateway:
        fields = {"x-edge-key": "test", "authorization": f"Bearer {viewer}"}
        refused = httpx.post(f"{gateway.admin}/admin/playground{PATHS['openai']}", json={}, headers=fields, **PLAIN)
        assert refused.status_code == 403
