"""A provider's keys: what takes one out and what does not, and that nobody ever sees one."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.faults.pair import Pair, ask
from tests.faults.stage import JSON, SSE, Stage, plain
from tests.support.gateway import Gateway, configuration
from tests.support.provider import Line, Provider, answer, said
from tests.support.talk import Answer, Talk, chat

PROVIDER_KEY = "sk-provider"


@pytest.mark.parametrize(("status", "error"), [
    (401, {"type": "key_model_access_denied", "message": "key not allowed to access model", "param": "model"}),
    (401, {"message": "You have insufficient permissions for this operation. Missing scopes: model.request"}),
    (401, {"code": "missing_scope", "message": "m"}), (401, {"message": "Your key does not have access to gpt-9"}),
    (403, {"type": "permission_error", "message": "m"}), (403, {"message": "m"}), (407, {"message": "m"}),
    (402, {"message": "m"})])
def test_what_may_be_about_the_request(pair: Pair, status: int, error: dict[str, Any]) -> None:
    """A refusal of our key that may be about what one client asked for takes the key from nobody else."""
    edge = pair.edge(circuit_breaker={"all_open": "refuse"}, retry={"max": 0})
    body = json.dumps({"error": error}, separators=(",", ":"))
    for _ in range(2):
        assert ask(edge, "lone", fault=f"status={status};body={body}").status_code == 502
        assert ask(edge, "lone").status_code == 200
    assert "benched" not in edge.log()


@pytest.mark.parametrize("error", [{"code": "invalid_api_key", "message": "m"}, {"message": "Incorrect API key"}, {}])
def test_what_is_about_the_key(pair: Pair, error: dict[str, Any]) -> None:
    """A key that is not good rests, and no provider is asked with it meanwhile."""
    edge = pair.edge(circuit_breaker={"all_open": "refuse"}, retry={"max": 0})
    body = json.dumps({"error": error}, separators=(",", ":"))
    assert ask(edge, "lone", fault=f"status=401;body={body}").headers["x-edge-condition"] == "provider_auth"
    assert ask(edge, "lone").headers["x-edge-condition"] == "provider_auth"
    assert pair.calls() == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "404 Not Found"])
@pytest.mark.parametrize("name", ["x-echo-auth", "www-authenticate", "warning", "openai-processing-ms"])
def test_a_key_in_a_field(stage: Stage, name: str, status: str, stream: bool) -> None:
    """A provider that repeats our key in a field of its head tells it to no client, and to no log."""
    fields = f"{name}: Bearer {PROVIDER_KEY}, {PROVIDER_KEY}{PROVIDER_KEY}\r\n"
    body = b'{"error": {"message": "m", "type": "invalid_request_error"}}'
    stage.play(plain(body, fields + (SSE if stream and status[0] == "2" else JSON), status))
    found = stage.ask("chat", stream=stream)
    assert PROVIDER_KEY not in repr(found)
    assert (found.header("www-authenticate"), PROVIDER_KEY in stage.edge.log()) == (None, False)


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_was_replaced(stream: bool) -> None:
    """The key that a request was sent with stays hidden in its answer when a reload has replaced it meanwhile."""
    come, told = threading.Event(), threading.Event()
    error = b'{"error": {"message": "you sent %s", "type": "invalid_request_error"}}' % PROVIDER_KEY.encode()
    events = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\nevent: error\ndata: ' + error + b"\n\n"

    def script(line: Line) -> None:
        line.request()
        come.set()
        assert told.wait(10)
        line.send(plain(events, SSE) if stream else answer(error, status=b"400 Bad Request"))

    with Provider(script) as provider:
        config = configuration(provider.url)
        with Gateway(config, environ={"NEW_KEY": "sk-rotated"}) as edge, Talk(edge.port) as talk:
            talk.send(chat(stream=stream))
            assert come.wait(10)
            config["providers"]["openai"]["key"] = "env:NEW_KEY"
            assert edge.reload(config).status_code == 200
            told.set()
            found: Answer = talk.answer()
            assert "you sent *****" in found.body.decode() and PROVIDER_KEY not in repr(found)
            assert PROVIDER_KEY not in edge.log()
            provider.script = lambda line: line.send(said()) if b"sk-rotated" in line.request() else None
            assert Talk(edge.port).send(chat()).answer().status == 200
