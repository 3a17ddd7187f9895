"""The response cache: who asks the same again gets the answer that there is, and nobody gets another's."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.client import KEY, SURFACES, Answer, ask, post, read, request
from tests.gateway.parties import bearer, call, key_with
from tests.gateway.script import Script, answer, chunk, completion, stream_head
from tests.simulator.wire import Wire
from tests.support.gateway import Gateway
from tests.support.looks import worker_of
from tests.support.talk import Talk

Start = Callable[..., Gateway]
SIZE = "8MB"
USE = {"x-edge-cache": "use"}
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
END = EVENT.replace(b"}}]", b'},"finish_reason":"stop"}]') + b"data: [DONE]\n\n"
PRICES = {"sim-*": {"input": 1000, "output": 1000, "cache_hit": 7_000_000}}


@pytest.fixture(scope="module")
def cached(start: Start) -> Iterator[Gateway]:
    """A gateway of two workers that has a cache, a store and prices."""
    with start(cache_max_size=SIZE, workers=2, store="edge.db", prices=PRICES) as gateway:
        yield gateway


def used(answer: Answer) -> tuple[str | None, bytes]:
    """What the cache had, and what came."""
    return answer.fields.get("x-edge-cache"), answer.body


def asked(gateway: Gateway, surface: str = "openai", *, said: str, **more: Any) -> Answer:
    """A request that wants the cache, by its own field unless `headers` say otherwise."""
    messages = [{"role": "user", "content": said}]
    return ask(gateway.port, post(surface, messages=messages, **{"headers": USE, **more}))


@pytest.mark.parametrize("stream", [None, True], ids=["plain", "stream"])
@pytest.mark.parametrize("surface", SURFACES)
def test_the_same_again(cached: Gateway, surface: str, stream: bool | None) -> None:
    """The answer comes once from the provider, then from the cache, byte for byte, whichever worker is asked."""
    said = f"the same again, {surface} {stream}"
    before = cached.metric("edge_upstream_connections_opened_total") + cached.metric(
        "edge_upstream_connections_reused_total")
    first = asked(cached, surface, said=said, stream=stream)
    assert first.status == 200 and used(first)[0] == "miss" and "age" not in first.fields
    kind = first.fields["content-type"].partition(";")[0]
    for _ in range(8):                          # by new connections: both workers have some
        again = asked(cached, surface, said=said, stream=stream)
        assert (again.status, used(again)) == (200, ("hit", first.body))
        assert again.fields["content-type"] == kind and int(again.fields["age"]) < 60
        assert again.fields["x-edge-cache-name"] == first.fields["x-edge-cache-name"]
        assert again.fields["x-request-id"] != first.fields["x-request-id"] and "x-edge-target" not in again.fields
    after = cached.metric("edge_upstream_connections_opened_total") + cached.metric(
        "edge_upstream_connections_reused_total")
    assert after == before + 1


@pytest.mark.parametrize("kind", [openai.OpenAI, anthropic.Anthropic])
@pytest.mark.parametrize("stream", [False, True])
def test_sdks_take_it(cached: Gateway, kind: Any, stream: bool) -> None:
    """The SDKs read an answer of the cache as any other."""
    surface = kind.__module__.partition(".")[0].strip("_")
    with kind(base_url=cached.url + ("/v1" if surface == "openai" else ""), api_key=KEY, max_retries=0) as sdk:
        calls = sdk.chat.completions if surface == "openai" else sdk.messages
        said = [{"role": "user", "content": f"for SDKs {stream}"}]
        texts = []
        for _ in range(2):
            raw = calls.with_raw_response.create(model="sim-1", messages=said, max_tokens=50, extra_headers=USE,
                                                 **({"stream": True} if stream else {}))
            found = raw.parse()
            texts.append([str(each) for each in (found if stream else [found])])
        assert raw.headers["x-edge-cache"] == "hit" and texts[0] == texts[1]


def test_how_json_is_written_does_not_matter(cached: Gateway) -> None:
    """Spaces and the order of members make no other request; any value does."""
    body = {"model": "sim-1", "messages": [{"role": "user", "content": "written"}], "temperature": 0.5}
    texts = [json.dumps(body), json.dumps(body, indent=4), json.dumps(dict(reversed(body.items())), ensure_ascii=True),
             json.dumps(body).replace("written", "wr\\u0069tten")]
    found = [ask(cached.port, request(text.encode(), path="/v1/chat/completions", headers=dict(USE)))
             for text in texts]
    assert [used(each)[0] for each in found] == ["miss", "hit", "hit", "hit"]
    for name, value in (("temperature", 0.6), ("temperature", None), ("model", "sim-2"), ("user", "u"), ("seed", 1),
                        ("stream", True), ("messages", [{"role": "user", "content": "Written"}])):
        other = ask(cached.port, request({**body, name: value}, path="/v1/chat/completions", headers=dict(USE)))
        assert used(other)[0] == "miss", name
    betas = [{**USE, "openai-beta": beta} for beta in ("x", "y", "x")]
    assert [used(ask(cached.port, request(body, path="/v1/chat/completions", headers=dict(each))))[0]
            for each in betas] == ["miss", "miss", "hit"]


def test_who_takes_part(cached: Gateway) -> None:
    """A key that says so, or a request's own field; what requests say goes before what keys say (RFC 9111 5.2.1)."""
    caches, plain = bearer(key_with(cached, cache=True)), bearer(key_with(cached))
    for headers, wanted in (
            (plain, None), (plain, None), (caches, "miss"), (caches, "hit"), ({**plain, **USE}, "miss"),
            ({**plain, **USE}, "hit"), (plain, None), ({**caches, "x-edge-cache": "off"}, None),
            ({**caches, "cache-control": "max-age=0, no-store"}, None),
            ({**caches, "cache-control": "No-Cache"}, "miss"),
            ({**caches, "x-edge-cache": "refresh"}, "miss"), ({**caches, "x-edge-cache": "USE"}, "hit"),
            ({**plain, "cache-control": "no-cache"}, None), (caches, "hit")):
        assert used(asked(cached, said="who takes part", headers=headers))[0] == wanted, headers
    wrong = asked(cached, said="who takes part", headers={"x-edge-cache": "maybe"})
    assert (wrong.status, wrong.fields["x-edge-condition"]) == (400, "field_value")
    assert "x-edge-cache" in wrong.json()["error"]["message"]


def test_nobody_gets_anothers(cached: Gateway) -> None:
    """An answer belongs to its key, or to all keys of an account."""
    assert call(cached, "POST", "accounts", {"name": "sharing"}).status_code == 201
    assert call(cached, "POST", "accounts/sharing/credit", {"points": 1000}).status_code == 200
    one, other = (bearer(key_with(cached)) for _ in range(2))
    first, second = (bearer(key_with(cached, account="sharing")) for _ in range(2))
    found = [used(asked(cached, said="nobody's else", headers={**headers, **USE}))[0]
             for headers in (one, other, first, second, one, other)]
    assert found == ["miss", "miss", "miss", "hit", "hit", "hit"]


def test_what_a_hit_costs(cached: Gateway) -> None:
    """A hit costs what the catalogue says, in place of all else, and takes none of the tokens of a limit."""
    assert call(cached, "POST", "accounts", {"name": "paying"}).status_code == 201
    assert call(cached, "POST", "accounts/paying/credit", {"points": 1000}).status_code == 200
    headers = {**bearer(key_with(cached, account="paying", rate_limit={"tokens_per_minute": 200})), **USE}
    assert used(asked(cached, said="costs", headers=headers, max_tokens=40))[0] == "miss"
    before = call(cached, "GET", "accounts/paying/balance").json()["balance"]
    for _ in range(10):
        hit = asked(cached, said="costs", headers=headers, max_tokens=40)
        assert used(hit)[0] == "hit" and hit.fields["x-edge-cost"] == "7.000000 points"
    cached.wait(lambda: call(cached, "GET", "accounts/paying/balance").json()["reserved"] in (0, "0"))
    assert float(before) - float(call(cached, "GET", "accounts/paying/balance").json()["balance"]) == 70


@pytest.mark.parametrize("spec", ["status=500", "status=400", "cut=5", "garbage", "drop=1"])
def test_failures_are_not_kept(cached: Gateway, spec: str) -> None:
    """What was no good answer, or not all of one, is asked for again."""
    for stream in (None, True):
        failed = post("openai", spec=spec, headers=USE, stream=stream, messages=[{"role": "user", "content": spec}])
        for _ in range(2):
            with Wire(cached.port) as wire:
                assert b"x-edge-cache: hit" not in wire.send(failed).read().data
        good = asked(cached, said=spec, stream=stream)
        assert (good.status, used(good)[0]) == (200, "miss")


def test_the_same_at_once(start: Start, script: Script) -> None:
    """Of many who ask for the same at once one asks the provider, and all get its answer; each is counted in flight."""
    with start(cache_max_size=SIZE) as gateway, ExitStack() as stack:
        for stream in (None, True):
            body = post("openai", model="scripted", stream=stream, headers=USE)
            first, *others = [stack.enter_context(Wire(gateway.port)) for _ in range(20)]
            first.send(body)
            meeting = script.meet()
            meeting.asked()
            for wire in others:
                wire.send(body)
            gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 20)
            events = stream_head() + chunk(EVENT) + chunk(END) + chunk(b"")
            meeting.send(answer(completion()) if stream is None else events)
            found = [read(wire.answer()) for wire in (first, *others)]
            assert {each.status for each in found} == {200} and len({each.body for each in found}) == 1
            assert [used(each)[0] for each in found] == ["miss"] + ["hit"] * 19
        assert gateway.metric("edge_upstream_connections_opened_total") == 2


def test_who_asks_anew_waits_for_nobody(start: Start, script: Script) -> None:
    """A request that wants a new answer asks for it, also where another one is on its way, and so do those whose leader
    has left, or is answered with more than is kept."""
    with start(cache_max_size="300KB") as gateway, ExitStack() as stack:
        wires = [stack.enter_context(Wire(gateway.port)) for _ in range(4)]
        body = post("openai", model="scripted", headers=USE)
        wires[0].send(body)
        first = script.meet()
        first.asked()
        wires[1].send(post("openai", model="scripted", headers={"x-edge-cache": "refresh"}))
        second = script.meet()
        second.asked()
        wires[2].send(body)
        gateway.wait(lambda: gateway.metric("edge_requests_in_flight") == 3)
        wires[0].socket.close()                 # it has led the third one
        third = script.meet()
        third.asked()
        for wire, meeting, text in ((wires[1], second, "second"), (wires[2], third, "third" * 10_000)):
            meeting.send(answer(completion(text)))
            assert used(read(wire.answer()))[0] == "miss"
        wires[3].send(body)
        assert b"second" in used(read(wires[3].answer()))[1]


def test_a_client_that_leaves_keeps_nothing(cached: Gateway, script: Script) -> None:
    """A stream whose client has gone before its end is not kept, nor is one that its provider cuts."""
    body = post("openai", model="scripted", stream=True, headers=USE)
    for _ in range(2):
        with Wire(cached.port) as wire:
            wire.send(body)
            meeting = script.meet()
            meeting.asked()
            meeting.send(stream_head() + chunk(EVENT))
            assert b"x-edge-cache: miss" in wire.socket.recv(65536)
        assert meeting.has_closed()


def test_an_end_of_its_time(start: Start, script: Script) -> None:
    """An answer counts for `cache_ttl`, and one that is too long is not kept at all."""
    with start(cache_max_size=SIZE, cache_ttl=1) as gateway:
        body = post("openai", model="scripted", headers=USE)

        def asked(content: str) -> Answer:
            with Wire(gateway.port) as wire:
                wire.send(body)
                meeting = script.meet()
                meeting.asked()
                meeting.send(answer(completion(content)))
                return read(wire.answer())
        assert used(asked("x"))[0] == "miss"
        gateway.wait(lambda: gateway.metric("edge_cache_answers_total") == 1)
        until = time.monotonic() + 2.1
        gateway.wait(lambda: time.monotonic() > until)
        assert used(asked("y" * 600_000))[0] == "miss"
        assert used(asked("z"))[0] == "miss"


def test_it_outlives_workers(cached: Gateway) -> None:
    """A worker that is killed leaves its answers to all, and its successor goes on."""
    kept = asked(cached, said="outlives").fields["x-edge-cache-name"]
    with Talk(cached.port) as talk:
        assert talk.send(request(path="/livez", method="GET")).answer("GET").status == 200
        os.kill(worker_of(cached, talk), signal.SIGKILL)
    for _ in range(4):
        again = asked(cached, said="outlives")
        assert used(again)[0] == "hit" and again.fields["x-edge-cache-name"] == kept
    assert used(asked(cached, said="another"))[0] == "miss" and used(asked(cached, said="another"))[0] == "hit"


def test_a_provider_that_is_down(start: Start, script: Script) -> None:
    """What is in the cache is answered also while its provider cannot be reached."""
    with start(cache_max_size=SIZE) as gateway:
        told = {"key": "test", "request": {"model": "closed", "messages": []}, "answer": {"object": "put in"}}
        assert call(gateway, "PUT", "cache", told).status_code == 201
        body = {"messages": [], "model": "closed"}
        found = ask(gateway.port, request(body, path="/v1/chat/completions", headers=dict(USE)))
        assert found.json() == {"object": "put in"}
        assert ask(gateway.port, request(body, path="/v1/chat/completions")).status == 502


def test_a_small_one(start: Start) -> None:
    """Nothing goes in that it does not keep, and what is new takes the place of what is old."""
    with start(cache_max_size="200KB") as gateway:
        longest = call(gateway, "GET", "cache").json()["longest"]
        assert longest < 20_000
        told = {"key": "test", "request": {"model": "sim-1"}, "answer": {"a": "x" * longest}}
        refused = call(gateway, "PUT", "cache", told)
        assert refused.status_code == 400 and str(longest) in refused.text
        said = [f"{number} {'x' * 500}" for number in range(200)]
        for each in said:
            assert used(asked(gateway, said=each))[0] == "miss"
        assert used(asked(gateway, said=said[-1]))[0] == "hit" and used(asked(gateway, said=said[0]))[0] == "miss"


def test_admins_put_and_clear(cached: Gateway) -> None:
    """An answer is put in, once; what is taken out or cleared is asked for again; whatever is wrong is told."""
    told = {"key": "test", "request": {"model": "sim-1", "messages": [{"role": "user", "content": "put"}]},
            "answer": {"made": "by hand"}}
    put = call(cached, "PUT", "cache", told)
    assert put.status_code == 201 and put.json()["until"]
    assert json.loads(used(asked(cached, said="put"))[1]) == told["answer"]
    again = call(cached, "PUT", "cache", told)
    assert again.status_code == 409 and put.json()["name"] in again.text
    assert call(cached, "DELETE", f"cache/{put.json()['name']}").json() == {"status": "deleted"}
    assert call(cached, "DELETE", f"cache/{put.json()['name']}").status_code == 404
    assert used(asked(cached, said="put"))[0] == "miss" and used(asked(cached, said="put"))[0] == "hit"
    assert call(cached, "DELETE", "cache").json() == {"status": "cleared"}
    assert used(asked(cached, said="put"))[0] == "miss"
    shown = call(cached, "GET", "cache").json()
    assert shown["on"] and shown["size"] == 8_000_000 and 0 < shown["used"] < shown["size"] and shown["hits"] > 1
    for wrong, field in (
            ({"key": "nobody"}, "nobody"), ({"key": 7}, "key"), ({"path": "/v1/images"}, "path"), ({"ttl": 0}, "ttl"),
            ({"ttl": True}, "ttl"), ({"answer": "text"}, "answer"), ({"request": {"messages": []}}, "model"),
            ({"answer": {"a": "x" * 2_000_000}}, "larger"), ({"model": "sim-1"}, "model")):
        refused = call(cached, "PUT", "cache", {**told, **wrong})
        assert 400 <= refused.status_code < 500 and field in refused.text, wrong
    for missing in ("key", "request", "answer"):
        refused = call(cached, "PUT", "cache", {name: value for name, value in told.items() if name != missing})
        assert refused.status_code == 400 and missing in refused.text
    assert call(cached, "DELETE", "cache/..%2f").status_code == 404


def test_no_cache(start: Start) -> None:
    """A gateway without one says so to admins, and takes no notice of fields."""
    with start() as gateway:
        assert asked(gateway, said="x").fields.get("x-edge-cache") is None
        assert asked(gateway, said="x", headers={"x-edge-cache": "maybe"}).status == 200
        assert call(gateway, "GET", "cache").json() == {"on": False, "reason": None}
        refused = call(gateway, "PUT", "cache", {})
        assert refused.status_code == 409 and "cache_max_size" in refused.text


def test_on_a_disk(start: Start, tmp_path: Path) -> None:
    """A cache in a folder outlasts the gateway, whatever has become of the file meanwhile."""
    settings = {"cache_max_size": SIZE, "cache_dir": str(tmp_path)}
    with start(**settings) as gateway:
        first = asked(gateway, said="disk")
        assert used(first)[0] == "miss" and used(asked(gateway, said="disk"))[0] == "hit"
        with start(**settings) as second:           # the folder is the first one's
            assert used(asked(second, said="disk"))[0] is None and "answers.edge" in second.log()
            assert call(second, "PUT", "cache", {}).status_code == 409
    file = tmp_path / "answers.edge"
    assert file.stat().st_mode & 0o777 == 0o600
    with start(**settings) as gateway:
        assert used(asked(gateway, said="disk")) == ("hit", first.body)
    data = file.read_bytes()
    at = data.index(first.body)
    file.write_bytes(data[:at + 9] + b"\0" * 4096 + data[at + 9 + 4096:])       # a page that a power cut has lost
    with start(**settings) as gateway:
        assert used(asked(gateway, said="disk"))[0] == "miss"
    for torn in (os.urandom(len(data)), data[:100_000], b""):
        file.write_bytes(torn)
        with start(**settings) as gateway:
            assert [used(asked(gateway, said="disk"))[0] for _ in range(2)] == ["miss", "hit"]
