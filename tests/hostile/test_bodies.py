"""Bodies that are no JSON, or JSON of the wrong shape: 400 that says where or what, and the connection stays."""

from __future__ import annotations

import json
import random
import re
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gateway import Gateway
from tests.support.simulator import Simulator
from tests.support.talk import Surface, Talk, ask, asked, in_contract, request

SCALARS = st.none() | st.booleans() | st.integers(-2**60, 2**60) | st.floats(allow_nan=False, allow_infinity=False) \
    | st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4)
                      | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=4),
                      max_leaves=12)

# Each is wrong as UTF-8: continuation alone, cut short, overlong, surrogate, beyond U+10FFFF, never a byte of it.
BAD_UTF8 = [b"\x80", b"\xbf", b"\xc2", b"\xe2\x82", b"\xf0\x9f\x92", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
            b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff"]

# Each is no JSON value: put in a value's place, it spoils the whole at any depth.
BAD_VALUES = [b"nul", b"True", b"NaN", b"Infinity", b"-Infinity", b"undefined", b"01", b"+1", b"1.", b".5", b"1e",
              b"1e400", b"-", b"--1", b"0x10", b"'a'", b'"a', b'"\\x41"', b'"\\u12"', b'"\\ud800"', b'"\\udc00\\ud800"',
              b'"a\nb"', b'"\0"', b'"\x1f"', b'"a\tb"', b"[1,]", b"[,1]", b"[1 2]", b"[", b"]", b"[1}", b'{"a":1,}',
              b'{"a"}', b'{"a":}', b"{a:1}", b"{1:2}", b'{"a" 1}', b'{,"a":1}', b"{", b"}", b"// note\n1", b"/**/1",
              b"1 1", b"\xef\xbb\xbf1", b"\xc2\xa01", b"\x0b1", b"`a`", b"1_000", b"a"]

WRAPPERS = [(b"", b""), (b"[", b"]"), (b"[0,", b"]"), (b'{"a":', b"}"), (b'{"a":[{"b":', b',"c":0}]}'),
            (b"[" * 200, b"]" * 200), (b'{"a":' * 60 + b"[" * 60, b"]" * 60 + b"}" * 60)]

NOT_CHAT = [
    ("an array", b"[]"), ("a string", b'"model"'), ("a number", b"1"), ("null", b"null"), ("true", b"true"),
]

WRONG_FIELDS: list[tuple[str, dict[str, Any], str, str]] = [
    ("/v1/chat/completions", {"messages": [{}]}, "field_missing", "model"),
    ("/v1/chat/completions", {"model": "gpt-4o"}, "field_missing", "messages"),
    ("/v1/chat/completions", asked(model=""), "field_missing", "model"),
    ("/v1/chat/completions", {**asked(), "messages": None}, "field_missing", "messages"),
    ("/v1/chat/completions", {**asked(), "messages": {}}, "field_type", "messages"),
    ("/v1/chat/completions", {**asked(), "model": 5}, "field_type", "model"),
    ("/v1/chat/completions", {**asked(), "model": ["gpt-4o"]}, "field_type", "model"),
    ("/v1/chat/completions", {**asked(), "stream": "true"}, "field_type", "stream"),
    ("/v1/chat/completions", {**asked(), "temperature": 2.01}, "field_value", "temperature"),
    ("/v1/chat/completions", {**asked(), "temperature": -1e-300}, "field_value", "temperature"),
    ("/v1/chat/completions", {**asked(), "max_tokens": 0}, "field_value", "max_tokens"),
    ("/v1/chat/completions", {**asked(), "max_tokens": -(10**30)}, "field_value", "max_tokens"),
    ("/v1/chat/completions", {**asked(), "n": {}}, "field_type", "n"),
    ("/v1/embeddings", {"model": "m"}, "field_missing", "input"),
    ("/v1/embeddings", {"model": "m", "input": 5}, "field_type", "input"),
    ("/v1/responses", {"model": "m", "input": {}}, "field_type", "input"),
    ("/v1/completions", {"model": "m", "prompt": 1}, "field_type", "prompt"),
    ("/v1/messages", asked(), "field_missing", "max_tokens"),
    ("/v1/messages", asked(max_tokens="5"), "field_type", "max_tokens"),
    ("/v1/messages", asked(max_tokens=5, temperature=1.5), "field_value", "temperature"),
]


def chat_with(member: bytes) -> bytes:
    """A chat body that has this text for the value of one more member."""
    return b'{"model": "gpt-4o", "x": ' + member + b', "messages": [{"role": "user", "content": "hello"}]}'


def test_values_that_are_none_at_every_depth(edge: Gateway, simulator: Simulator) -> None:
    """What is no JSON is 400 json_invalid that names a byte, on a connection that lives on, and reaches nobody."""
    with Talk(edge.port) as talk:
        for before, after in WRAPPERS:
            for value in BAD_VALUES:
                body = chat_with(before + value + after)
                with pytest.raises(orjson.JSONDecodeError):
                    orjson.loads(body)
                answer = in_contract(talk.send(request(body)).answer(), "json_invalid")
                place = re.search(r"at byte (\d+)", answer.json["error"]["message"])
                assert place is not None and int(place[1]) <= len(body), body
    assert all(seen["model"] == "canary" for seen in simulator.requests())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_invalid_utf8_everywhere(edge: Gateway, path: str) -> None:
    """Bytes that are not UTF-8 are refused in names and in values, wanted and skipped, at every depth."""
    with Talk(edge.port) as talk:
        for bad in BAD_UTF8:
            for before, after in WRAPPERS:
                for text in (b'"%s"', b'"%s tail"', b'"a long head of more than thirty-two bytes %s"', b'{"%s": 1}'):
                    body = chat_with(before + text % bad + after)
                    answer = talk.send(request(body, path=path)).answer()
                    in_contract(answer, "json_invalid", "anthropic" if path == "/v1/messages" else "openai")
            for body in (b'{"model": "gpt%s", "messages": []}' % bad, b'{"mod%sel": "gpt-4o", "messages": []}' % bad,
                         b'{"model": "gpt-4o", "messages": []}' + bad, bad + b'{"model": "gpt-4o", "messages": []}'):
                in_contract(talk.send(request(body)).answer(), "json_invalid")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_long_bodies_in_pieces(edge: Gateway, chunked: bool) -> None:
    """A long body is read as it comes, cut anywhere: what is wrong is told at its byte, once it is there."""
    rng = random.Random(9)
    text = "plain words, \u4f60\u597d, \U0001f600 and \"quotes\"\\\\ " * 12_000
    for spare in (True, False):
        good = json.dumps(asked(text=text, x=[{"a": 1.5e3}] * 1000), ensure_ascii=spare).encode()
        for place in (None, *(good.index(b"words", at) for at in (0, 200_000, 500_000)), len(good) - 2):
            body = good if place is None else good[:place] + b"\x01" + good[place + 1:]
            cuts = [0, *sorted(rng.choices(range(len(body)), k=9)), len(body)]
            pieces = [body[start:end] for start, end in pairwise(cuts) if end > start]
            head = request(body)[:-len(body)]
            if chunked:
                head = head.replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked")
                pieces = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
            with Talk(edge.port) as talk:
                answer = talk.send(head, *pieces).answer()
                if place is None:
                    assert answer.status == 200
                else:
                    assert f"at byte {place}" in in_contract(answer, "json_invalid").json["error"]["message"]
                assert talk.send(request(asked())).answer().status == 200


@settings(max_examples=150)
@given(value=VALUES, at=st.floats(0, 1), damage=st.binary(min_size=0, max_size=3), cut=st.integers(0, 2))
def test_damaged_json(edge: Gateway, value: Any, at: float, damage: bytes, cut: int) -> None:
    """Whatever is done to a body, orjson and the gateway agree on what is refused: the gateway never accepts more."""
    body = chat_with(json.dumps(value, ensure_ascii=False).encode())
    place = int(at * len(body))
    body = body[:place] + damage + body[place + cut:]
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        in_contract(ask(edge.port, request(body)), "json_invalid")
        return
    answer = ask(edge.port, request(body))
    assert answer.status in (200, 400), (body, answer)


@settings(max_examples=60)
@given(value=VALUES)
def test_good_json(edge: Gateway, value: Any) -> None:
    """A body that is JSON is served, whatever else it holds."""
    assert ask(edge.port, request(chat_with(json.dumps(value).encode()))).status == 200


@settings(max_examples=60)
@given(body=st.binary(max_size=200))
def test_random_bodies(edge: Gateway, body: bytes) -> None:
    """Random bytes are 400 in contract: no JSON, or JSON without what is needed."""
    try:
        condition = "field_missing" if isinstance(orjson.loads(body), dict) else "json_invalid"
    except orjson.JSONDecodeError:
        condition = "json_invalid"
    in_contract(ask(edge.port, request(body)), condition)


@pytest.mark.parametrize("body", [row[1] for row in NOT_CHAT], ids=[row[0] for row in NOT_CHAT])
def test_json_that_is_no_object(edge: Gateway, body: bytes) -> None:
    """A body must be an object: other JSON is refused like no JSON."""
    in_contract(ask(edge.port, request(body)), "json_invalid")


def test_nesting(edge: Gateway) -> None:
    """Nesting beyond any use is refused, however deep, at once; 200 levels are served."""
    assert ask(edge.port, request(chat_with(b"[" * 200 + b"]" * 200))).status == 200
    for depth in (300, 100_000, 4_000_000):
        in_contract(ask(edge.port, request(chat_with(b"[" * depth + b"]" * depth))), "json_invalid")
        in_contract(ask(edge.port, request(chat_with(b'{"a":' * depth + b"0" + b"}" * depth))), "json_invalid")
        in_contract(ask(edge.port, request(b"[" * depth)), "json_invalid")


def test_numbers(edge: Gateway) -> None:
    """Numbers of any length are read: out of a field's range they are refused by name, beyond a double as JSON."""
    for number in (b"1" + b"0" * 300, b"123456789012345678901234567890", b"1e308", b"0." + b"1" * 100_000, b"-0",
                   b"1E-400"):
        assert ask(edge.port, request(chat_with(number))).status == 200
    for number in (b"1e309", b"-1e999999999999", b"9" * 400, b"1" * 100_000):
        in_contract(ask(edge.port, request(chat_with(number))), "json_invalid")
    for number in (b"1e300", b"-0.5", b"3", b"1" + b"0" * 200):
        body = b'{"model": "m", "messages": [{}], "temperature": ' + number + b"}"
        answer = in_contract(ask(edge.port, request(body)), "field_value")
        assert len(answer.body) < 2000


def test_duplicate_members(edge: Gateway, simulator: Simulator) -> None:
    """Two values of a member that the gateway reads are refused: a provider could take the other one."""
    bodies = [b'{"model": "a", "model": "b", "messages": [{}]}', b'{"model": "a", "messages": [{}], "model": "a"}',
              b'{"model": "a", "messages": [{}], "messages": [{}]}',
              b'{"model": "a", "stream": false, "messages": [{}], "stream": true}',
              b'{"model": "a", "messages": [{}], "mo\\u0064el": "b"}']
    for body in bodies:
        in_contract(ask(edge.port, request(body)), "field_value")
    assert all(seen["model"] == "canary" for seen in simulator.requests())


@pytest.mark.parametrize("path, body, condition, field", WRONG_FIELDS)
def test_wrong_fields(edge: Gateway, path: str, body: dict[str, Any], condition: str, field: str) -> None:
    """A member that is missing, of the wrong type or out of range is named, in the dialect of the route."""
    surface: Surface = "anthropic" if path.startswith("/v1/messages") else "openai"
    answer = in_contract(ask(edge.port, request(body, path=path)), condition, surface)
    assert field in answer.json["error"]["message"]
    if surface == "openai":
        assert answer.json["error"]["param"] == field


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
                                  "application/jsonp", "json", "", "application/json, text/plain"])
def test_content_types(edge: Gateway, kind: str | None) -> None:
    """A JSON route takes what calls itself JSON and nothing else."""
    data = request(asked(), kind=None, **({} if kind is None else {"content_type": kind}))
    in_contract(ask(edge.port, data), "content_type")


@pytest.mark.parametrize("kind", ["application/json;charset=utf-8", "Application/JSON ; charset=UTF-8",
                                  "application/vnd.api+json"])
def test_content_types_that_are_json(edge: Gateway, kind: str) -> None:
    """Parameters, case and suffixes of the media type do not matter."""
    assert ask(edge.port, request(asked(), kind=kind)).status == 200


def test_empty_body(edge: Gateway) -> None:
    """A POST without a body, with or without a length, is 400 in contract."""
    in_contract(ask(edge.port, request(b"")), "json_invalid")
    in_contract(ask(edge.port, request(None, content_type="application/json")), "json_invalid")
    in_contract(ask(edge.port, request(b" \r\n\t ")), "json_invalid")
