"""Which requests the response cache takes for the same, and whose an answer is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gateway.client import PATHS, Answer, ask, post, request
from tests.gateway.parties import bearer, call, key_with
from tests.support.gateway import Gateway, configuration
from tests.support.simulator import Simulator

Start = Callable[..., Gateway]
USE = {"x-edge-cache": "use"}


@pytest.fixture(scope="module")
def cached(start: Start) -> Iterator[Gateway]:
    """A gateway that has a cache and a store."""
    with start(cache_max_size="8MB", store="edge.db") as gateway:
        yield gateway


def had(answer: Answer) -> str | None:
    """What the cache had."""
    assert answer.status == 200, answer
    return answer.fields.get("x-edge-cache")


def sent(gateway: Gateway, body: str | bytes, *, path: str = PATHS["openai"], **headers: str) -> Answer:
    """A request of these bytes that wants the cache."""
    fields: dict[str, str | None] = {**USE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ask(gateway.port, request(body.encode() if isinstance(body, str) else body, path=path, headers=fields))


def saying(content: str, more: str = "") -> str:
    """A chat's body, with members as they are written."""
    return f'{{"model":"sim-1","messages":[{{"role":"user","content":"{content}"}}]{more}}}'


@pytest.mark.parametrize(("first", "second"), [
    (',"x":1,"x":2', ',"x":2'),
    (',"x":1,"x":2,"y":"\\u002c"', ',"x":2,"y":","'),
    (',"x":1,"x":2,"y":"\\\\u002c"', ',"x":2,"y":"\\\\u002c"'),
    (',"metadata":{"a":"1","a":"2"}', ',"metadata":{"a":"2"}'),
    (',"metadata":{"a":"2"}', ',"metadata":{"a":"1","\\u0061":"2"}'),
    (',"x":1', ',"x":1.0'), (',"x":""', ',"x":null'), (',"x":[1,2]', ',"x":[2,1]'),
], ids=range(8))
def test_what_can_be_read_in_two_ways(cached: Gateway, first: str, second: str) -> None:
    """A body with a member that is there twice says to some what another body says to all: they are two requests."""
    content = f"two ways {first} {second}".replace('"', "'").replace("\\", "/")
    assert [had(sent(cached, saying(content, each))) for each in (first, second, first)] == ["miss", "miss", "hit"]


@pytest.mark.parametrize(("first", "second"), [
    (',"x":"\\u002c\\u002C"', ',"x":",,"'), (',"x":"\\u00e4\\n"', ', "x" : "ä\\u000a"'),
    (',"x":{"a":1,"b":2}', ',"x":{"b":2,"a":1}'), (',"x":-0', ',"x":0'),
], ids=range(4))
def test_what_says_the_same(cached: Gateway, first: str, second: str) -> None:
    """Escapes, spaces and the order of members make no other request."""
    content = f"the same {first}".replace('"', "'").replace("\\", "/")
    assert [had(sent(cached, saying(content, each))) for each in (first, second)] == ["miss", "hit"]


@pytest.mark.parametrize("depth", [250, 253, 254])
def test_deep(cached: Gateway, depth: int) -> None:
    """As deep as bodies may be, they have names; what admins put in is refused where it cannot be."""
    body = saying("deep", f',"x":{"[" * depth}{"]" * depth}')
    assert [had(sent(cached, body)) for _ in range(2)] == ["miss", "hit"]
    told = {"key": "test", "request": {"model": "sim-1", "messages": []}, "answer": {}}
    for name in ("request", "answer"):
        deep: Any = "deep"
        for _ in range(depth + 4):
            deep = [deep]
        refused = call(cached, "PUT", "cache", {**told, name: {"model": "sim-1", "x": deep}})
        assert refused.status_code == 400 and name in refused.text and "levels" in refused.text


def test_long(cached: Gateway) -> None:
    """A long body has a name, too, and is the same where its bytes are."""
    bodies = [saying("long", f',{space}"x":"{"y" * 1_100_000}"') for space in ("", "", " ")]
    assert [had(sent(cached, body)) for body in bodies] == ["miss", "hit", "miss"]


def test_how_it_comes(cached: Gateway) -> None:
    """Compressed or in pieces, it is the same."""
    body = saying("how it comes").encode()
    chunked = post("openai", headers={**USE, "content-length": None, "transfer-encoding": "chunked"})
    head = chunked.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:20], body[20:], b""))
    found = [sent(cached, body), sent(cached, gzip.compress(body), content_encoding="gzip"),
             ask(cached.port, head + pieces)]
    assert [had(each) for each in found] == ["miss", "hit", "hit"]


def test_beside_the_body(cached: Gateway) -> None:
    """What changes the answer besides: the query, beta features, and a version of the API that is not the usual one."""
    body = '{"model":"sim-1","max_tokens":5,"messages":[{"role":"user","content":"beside"}]}'
    path = PATHS["anthropic"]
    ways: list[dict[str, str]] = [{}, {"path": f"{path}?beta=true"}, {"anthropic_version": "2023-01-01"},
                                  {"anthropic_beta": "2023-01-01"}, {"path": f"{path}?x=1"}]
    for wanted in ("miss", "hit"):
        assert [had(sent(cached, body, **{"path": path, **way})) for way in ways] == [wanted] * len(ways)
    assert had(sent(cached, body, path=path, anthropic_version="2023-06-01")) == "hit"
    azure = "/openai/deployments/sim-1/chat/completions?api-version="
    plain = '{"messages":[{"role":"user","content":"beside"}]}'
    assert [had(sent(cached, plain, path=azure + version)) for version in ("2024-02-01", "2024-10-21")] == [
        "miss", "hit"], "who has sent it here has not heard of it"
    assert had(sent(cached, plain, path=azure.replace("sim-1", "sim-2"))) == "miss"


def test_fields_that_are_there_twice(cached: Gateway) -> None:
    """All lines of a field count (RFC 9110 5.3); two words for the gateway are none."""
    plain = post("openai", messages=[{"role": "user", "content": "twice"}], headers=USE)
    caching = bearer(key_with(cached, cache=True))
    by_key = post("openai", messages=[{"role": "user", "content": "twice"}], headers=caching)
    twice = b"\r\ncache-control: max-age=0\r\ncache-control: %b\r\n\r\n"
    for _ in range(2):
        assert had(ask(cached.port, by_key.replace(b"\r\n\r\n", twice % b"no-store", 1))) is None
    assert [had(ask(cached.port, by_key.replace(b"\r\n\r\n", twice % b"no-cache", 1))) for _ in range(2)] == [
        "miss", "miss"]
    refused = ask(cached.port, plain.replace(b"\r\n\r\n", b"\r\nx-edge-cache: off\r\n\r\n", 1))
    assert refused.status == 400 and "use, off" in refused.json()["error"]["message"]


@pytest.mark.parametrize("providers", [1, 2])
def test_what_a_provider_keeps(cached: Gateway, running: Simulator, providers: int) -> None:
    """What it keeps under an id, or is asked about by an id, comes from it alone, however many providers there are."""
    with Gateway(configuration(running.url, cache_max_size="8MB")) as single:
        gateway = single if providers == 1 else cached
        for more in ("", ',"store":true', ',"store":null', ',"store":false,"previous_response_id":"resp_1"',
                     ',"store":false,"conversation":"conv_1"'):
            body = f'{{"model":"sim-1","input":"kept"{more}}}'
            for _ in range(2):
                assert ask(gateway.port, request(body.encode(), path="/v1/responses", headers=dict(USE))).fields.get(
                    "x-edge-cache") is None, more
        told = {"key": "test", "path": "/v1/responses", "request": {"model": "sim-1", "input": "put"}, "answer": {}}
        for said in ({}, {"store": True}, {"store": None}, {"store": False, "conversation": {"id": "conv_1"}}):
            refused = call(gateway, "PUT", "cache", {**told, "request": {**told["request"], **said}})  # type: ignore[dict-item]
            assert refused.status_code == 400 and "store: false" in refused.text, said
        alone = '{"model":"sim-1","input":"alone","store":false}'
        assert [had(sent(gateway, alone, path="/v1/responses")) for _ in range(2)] == ["miss", "hit"]
        kept = saying("kept", ',"store":true')
        assert [had(sent(gateway, kept)) for _ in range(2)] == [None, None]


def test_a_stream_cannot_be_put(cached: Gateway) -> None:
    """Who asks for a stream would get JSON."""
    refused = call(cached, "PUT", "cache", {"key": "test", "answer": {}, "request": {"model": "sim-1", "stream": True}})
    assert refused.status_code == 400 and "stream" in refused.text


def test_the_next_of_a_name(cached: Gateway) -> None:
    """Whoever gets the name of a key, or an account, that is gone gets none of its answers."""
    def asked(secret: str) -> str | None:
        return had(sent(cached, saying("next of a name"), **bearer(secret)))

    first = key_with(cached, name="of-somebody")
    assert [asked(first) for _ in range(2)] == ["miss", "hit"]
    assert call(cached, "DELETE", "keys/of-somebody").status_code in (200, 204)
    second = key_with(cached, name="of-somebody")
    assert asked(second) == "miss"
    told = {"key": "of-somebody", "request": json.loads(saying("put for the next")), "answer": {"for": "the next"}}
    assert call(cached, "PUT", "cache", told).status_code == 201
    assert sent(cached, saying("put for the next"), **bearer(second)).json() == {"for": "the next"}


def test_a_key_that_moves(cached: Gateway) -> None:
    """It leaves the answers where it was, and finds those of where it is."""
    for name in ("moved-from", "moved-to"):
        assert call(cached, "POST", "accounts", {"name": name}).status_code == 201
        assert call(cached, "POST", f"accounts/{name}/credit", {"points": 1000}).status_code == 200
    moving, staying = (key_with(cached, name=name, account="moved-from") for name in ("moving", "staying"))

    def asked(secret: str) -> str | None:
        return had(sent(cached, saying("moves"), **bearer(secret)))

    assert [asked(moving), asked(staying)] == ["miss", "hit"]
    assert call(cached, "PATCH", "keys/moving", {"account": "moved-to"}).status_code == 200
    assert [asked(moving), asked(moving), asked(staying)] == ["miss", "hit", "hit"]
    told = {"key": "staying", "request": json.loads(saying("put for an account")), "answer": {"for": "all"}}
    assert call(cached, "PATCH", "keys/moving", {"account": "moved-from"}).status_code == 200
    assert call(cached, "PUT", "cache", told).status_code == 201
    assert sent(cached, saying("put for an account"), **bearer(moving)).json() == {"for": "all"}


def test_what_is_forbidden_meanwhile(cached: Gateway) -> None:
    """An answer that was kept does not outlast the right to it."""
    for name, denial in (("denied-model", {"denied_models": ["sim-1"]}), ("denied-scope", {"scopes": ["messages"]}),
                         ("denied-address", {"denied_addresses": ["127.0.0.0/8"]})):
        secret = key_with(cached, name=name)
        assert [had(sent(cached, saying(name), **bearer(secret))) for _ in range(2)] == ["miss", "hit"]
        assert call(cached, "PATCH", f"keys/{name}", denial).status_code == 200
        assert sent(cached, saying(name), **bearer(secret)).status == 403, name
