"""Tokens of chat streams whose clients do not ask for them, and the silence between two events."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.faults.pair import MESSAGES, Pair, ask
from tests.faults.stage import JSON, SSE, Stage, head, plain, streamed
from tests.gateway.events import DIALECTS
from tests.gateway.script import chunk
from tests.support.provider import Line
from tests.support.talk import Talk, request

SPLICES = [
    ('{"model":"both","messages":[],"stream":true}',
     '{"stream_options":{"include_usage":true},"model":"both","messages":[],"stream":true}'),
    (' \n{ "stream" : true,"messages":[], "model":"alias" }',
     ' \n{"stream_options":{"include_usage":true}, "stream" : true,"messages":[], "model":"real" }'),
    ('{"model":"alias","stream_options":null,"messages":[],"stream":true}',
     '{"model":"real","stream_options":{"include_usage":true},"messages":[],"stream":true}'),
    ('{"stream_options": false ,"model":"alias","messages":[],"stream":true}',
     '{"stream_options": {"include_usage":true} ,"model":"real","messages":[],"stream":true}'),
    ('{"model":"both","stream_options":{ },"messages":[],"stream":true}',
     '{"model":"both","stream_options":{"include_usage":true },"messages":[],"stream":true}'),
    ('{"model":"both","stream_options":{"x":1},"messages":[],"stream":true}',
     '{"model":"both","stream_options":{"include_usage":true,"x":1},"messages":[],"stream":true}'),
    ('{"model":"both","stream_options":{"x":[],"include_usage": null},"messages":[],"stream":true}',
     '{"model":"both","stream_options":{"x":[],"include_usage": true},"messages":[],"stream":true}'),
    ('{"stream":true,"stream_options":{"include_usage":false},"messages":[],"model":"alias"}',
     '{"stream":true,"stream_options":{"include_usage":true},"messages":[],"model":"real"}'),
]
AS_IT_IS = [
    '{"model":"both","stream_options":{"include_usage":true},"messages":[],"stream":true}',
    '{"model":"both","messages":[],"stream":false}', '{"model":"both","messages":[]}',
    '{"model":"both","stream_options":{"include_usage":true},"messages":[],"stream":false}',
]
MODELS = {"both": ["first-openai", "second-openai", "first-anthropic"], "alias": "first-openai/real"}


def filled(body: str) -> str:
    """The body with a message."""
    return body.replace('"messages":[]', '"messages":[{"role":"user","content":"hi"}]')


def post(edge: Any, body: str, path: str = "/v1/chat/completions") -> bytes:
    """The answer to a body, byte for byte."""
    with edge.client(headers={"content-type": "application/json"}) as client:
        found = client.post(path, content=body)
        assert found.status_code == 200, found.text
        return bytes(found.content)


def test_usage_is_asked_for(pair: Pair) -> None:
    """Streams are asked for their usage, in a body that is else the same byte for byte; it is counted, and the client
    sees no trace of it; what asks itself, or is no stream, goes on as it is."""
    edge = pair.edge(provider={"stream_usage": True}, models=MODELS)
    for sent, expected in [(filled(sent), filled(expected)) for sent, expected in SPLICES]:
        answer = post(edge, sent)
        assert pair.first.requests()[-1]["body"] == expected
        assert b"usage" not in answer and answer.endswith(b"}\n\ndata: [DONE]\n\n")
        assert b'"finish_reason":"stop"}]}\n\n' in answer
    tokens = [edge.metric("edge_tokens_total", provider="first-openai", type=kind) for kind in ("input", "output")]
    assert min(tokens) > 0
    for sent in map(filled, AS_IT_IS):
        answer = post(edge, sent)
        assert pair.first.requests()[-1]["body"] == sent
        assert b'"usage"' in answer
    assert ask(edge, surface="anthropic", stream=True).status_code == 200
    assert "stream_options" not in pair.first.requests()[-1]["body"]
    answer = post(edge, '{"model":"both","prompt":"hello","stream":true}', "/v1/completions")
    assert b"usage" not in answer and answer.endswith(b"data: [DONE]\n\n")
    edge.wait(lambda: edge.metric("edge_requests_total", condition="ok") == len(SPLICES) + len(AS_IT_IS) + 2)
    assert edge.metric("edge_answers_without_usage_total") == 0


def test_usage_is_not_asked_for_elsewhere(pair: Pair) -> None:
    """A provider that nobody has said it of is not asked, as some refuse it; tokens are estimated, and marked."""
    edge = pair.edge()
    body = json.dumps({"model": "both", "messages": MESSAGES, "stream": True, "max_tokens": 40})
    answer = post(edge, body)
    assert pair.first.requests()[-1]["body"] == body and b"usage" not in answer
    edge.wait(lambda: edge.metric("edge_answers_without_usage_total", provider="first-openai") == 1)
    assert edge.metric("edge_tokens_total", provider="first-openai") == 0
    assert edge.metric("edge_tokens_estimated_total", type="input") == len(body) // 4
    assert 0 < edge.metric("edge_tokens_estimated_total", type="output") < len(answer) // 16


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_plain_answers_without_usage(stage: Stage, name: str) -> None:
    """A plain answer whose provider tells no usage is counted as such."""
    labels = {"route": name, "provider": "first-a" if name == "messages" else "first"}
    before = stage.edge.metric("edge_answers_without_usage_total", **labels)
    body = json.loads(DIALECTS[name].plain)
    del body["usage"]
    stage.play(plain(json.dumps(body).encode(), JSON))
    assert stage.ask(name).status == 200
    stage.edge.wait(lambda: stage.edge.metric("edge_answers_without_usage_total", **labels) == before + 1)


def test_a_stream_is_kept_alive(pair: Pair) -> None:
    """A stream that is silent has a comment now and then, between events alone, which does not put off its end."""
    edge = pair.edge(keepalive=0.2, provider={"timeouts": {"idle": 1.2}})
    begun = time.monotonic()
    with edge.client(headers={"x-simulate": "stall=3"}) as client:
        body = client.post("/v1/chat/completions", json={"model": "lone", "stream": True, "messages": MESSAGES}).text
    assert time.monotonic() - begun < 4
    events = body.split("\n\n")
    pings = [at for at, each in enumerate(events) if each == ": ping"]
    assert 2 <= len(pings) <= 6 and pings == list(range(3, 3 + len(pings)))
    assert events[-2].startswith("event: error")
    assert b": ping" not in ask(pair.edge(keepalive=0), "lone", fault="stall=2,800", stream=True).content


def test_no_comment_within_an_event(stage: Stage) -> None:
    """While an event has come in part, and before the first one, nothing is sent in between that could break it."""
    first, second, *rest = DIALECTS["chat"].events
    assert streamed(b"x").startswith(head(SSE)[:-2])

    def script(line: Line) -> None:
        line.request()
        line.send(head(f"{SSE}transfer-encoding: chunked\r\n") + chunk(first[:9]))
        time.sleep(0.3)
        line.send(chunk(first[9:] + second[:9]))
        time.sleep(0.3)
        line.send(chunk(second[9:] + b"".join(rest)) + chunk(b""))

    stage.first.hang_up()
    stage.first.script = script
    with Talk(stage.edge.port) as talk:
        talk.send(request({**DIALECTS["chat"].body, "model": "lone", "stream": True}))
        assert talk.answer().body.replace(b": ping\n\n", b"") == DIALECTS["chat"].stream
