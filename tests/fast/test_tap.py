"""The tap against a slow reader of event streams, however the bytes are cut."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge._fast.dialect.tap import skip_event, tap_answer, tap_stream
from tests.fast.cliff import Cliff
from tests.fast.slow_events import Dialect, Slow

DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages")


def chunk(**data: Any) -> bytes:
    """An event of the chat dialect."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def event(kind: str, **data: Any) -> bytes:
    """An event of the other two, which names its type twice."""
    return f"event: {kind}\n".encode() + chunk(type=kind, **data)


STREAMS: dict[Dialect, bytes] = {
    "chat": b"".join((
        chunk(id="c", choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], usage=None),
        b": keep-alive\n\n",
        chunk(id="c", choices=[{"delta": {"content": 'say "usage": {} and "error": 1'}}], usage=None),
        chunk(id="c", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=None),
        chunk(id="c", choices=[], usage={
            "prompt_tokens": 19, "completion_tokens": 7, "total_tokens": 26,
            "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0}}),
        b"data: [DONE]\n\n")),
    "responses": b"".join((
        event("response.created", sequence_number=0, response={"id": "r", "usage": None}),
        event("response.output_text.delta", sequence_number=1, delta="Hi"),
        event("response.completed", sequence_number=2, response={
            "id": "r", "error": None, "output": [{"usage": {"input_tokens": 1}}], "usage": {
                "input_tokens": 37, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 11,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 48}}))),
    "messages": b"".join((
        event("message_start", message={"id": "m", "type": "message", "content": [], "usage": {
            "input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 12,
            "output_tokens": 1}}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}),
        event("message_stop"))),
}


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces, empty ones too."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def told(dialect: Dialect, stream: bytes, seed: int = 0) -> Any:
    """What the tap knows after the stream, fed whole, byte by byte, and at random cuts: always the same."""
    whole = tap_stream(dialect, [stream])
    rng = random.Random(seed)
    assert tap_stream(dialect, [stream[i:i + 1] for i in range(len(stream))]) == whole
    for count in (1, 2, 5):
        assert tap_stream(dialect, cut(stream, [rng.randrange(10**6) for _ in range(count)])) == whole
    assert whole == Slow(dialect, stream).told()
    return whole


def usage(seen: Any) -> tuple[int, int, int]:
    """The three counts."""
    return seen["input"], seen["output"], seen["cached"]


@pytest.mark.parametrize(("dialect", "counts", "events"), [
    ("chat", (19, 7, 16), 5), ("responses", (37, 11, 5), 3), ("messages", (37, 15, 12), 6)])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_a_whole_stream_is_understood(dialect: Dialect, counts: tuple[int, int, int], events: int,
                                      ending: bytes) -> None:
    """A provider's stream gives its usage, its number of events and its end, in every line ending."""
    stream = STREAMS[dialect].replace(b"\n", ending)
    seen = told(dialect, stream)
    assert usage(seen) == counts and seen["events"] == events
    assert seen["terminal"] and not seen["error"] and seen["consumed"] == len(stream)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_cut_short_has_no_end(dialect: Dialect) -> None:
    """No beginning of a stream counts as ended, and what is no whole event is left with the caller."""
    stream = STREAMS[dialect]
    for size in range(len(stream)):
        seen = tap_stream(dialect, [stream[:size]])
        assert not seen["terminal"] and not seen["error"]
        assert seen["tail"] == stream[:size].rpartition(b"\n\n")[2]
        assert seen["consumed"] == size - len(seen["tail"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_follows_the_terminal_event_is_left(dialect: Dialect) -> None:
    """Consumption ends right behind the terminal event, also when it is fed on."""
    stream = STREAMS[dialect]
    more = b'event: error\ndata: {"error":{"message":"late"}}\n\ndata: [DONE]\n\n'
    seen = told(dialect, stream + more)
    assert seen["terminal"] and not seen["error"] and seen["tail"] == more


ERRORS: list[tuple[Dialect, bytes, bytes]] = [
    ("chat", b'data: {"error":{"message":"overloaded","code":503}}\n\n',
     b'{"error":{"message":"overloaded","code":503}}'),
    ("chat", b'data: {"error" : "text", "x":1}\n\n', b'{"error" : "text", "x":1}'),
    ("chat", b'data:{"error":true}\r\n\r\n', b'{"error":true}'),
    ("chat", b'data: {"id":"c","choices":[],"error":{"code":502},"usage":{"prompt_tokens":1}}\n\n',
     b'{"id":"c","choices":[],"error":{"code":502},"usage":{"prompt_tokens":1}}'),
    ("chat", b'event: error\ndata: {"message":"m"}\n\n', b'{"message":"m"}'),
    ("chat", b": note\nevent: error\nid: 7\ndata: [1]\n\n", b"[1]"),
    ("chat", b"event: error\ndata: Internal Server Error\n\n", b""),
    ("chat", b'event: error\ndata: {"message":\ndata: "m"}\n\n', b""),
    ("chat", b'data: {\ndata: "error"\ndata: : {"message":"m"}}\n\n', b""),
    ("responses", b'event: error\ndata: {"type":"error","code":"x","message":"m"}\n\n',
     b'{"type":"error","code":"x","message":"m"}'),
    ("responses", b'data: {"type":"error","message":"m"}\n\n', b'{"type":"error","message":"m"}'),
    ("responses", b'data: {"error":{"message":"m"}}\n\n', b'{"error":{"message":"m"}}'),
    ("messages", event("error", error={"type": "overloaded_error"}),
     b'{"type":"error","error":{"type":"overloaded_error"}}'),
    ("messages", b'data: {"type":"error","error":{"type":"api_error"}}\n\n',
     b'{"type":"error","error":{"type":"api_error"}}'),
]


@pytest.mark.parametrize(("dialect", "event", "data"), ERRORS)
def test_an_error_event_is_left_to_the_caller(dialect: Dialect, event: bytes, data: bytes) -> None:
    """An error event is found in every form, consumption stops before it, and its data is shown if JSON."""
    stream = STREAMS[dialect]
    first = stream[:stream.index(b"\n\n") + 2]
    for before in (b"", first):
        seen = told(dialect, before + event + b"data: more\n\n")
        assert seen["error"] and not seen["unreadable"] and not seen["terminal"] and seen["data"] == data
        assert seen["consumed"] == len(before) and seen["events"] == (1 if before else 0)


@pytest.mark.parametrize(("dialect", "event"), [
    ("chat", b'data: {"error":null,"choices":[]}\n\n'), ("chat", b'data: {"error":{},"choices":[]}\n\n'),
    ("chat", b'data: {"error":[ ]}\n\n'),
    ("chat", b'data: {"error":""}\n\n'), ("chat", b'data: {"error":0}\n\n'),
    ("chat", b'data: {"error":0.0}\n\n'), ("chat", b'data: {"error":false}\n\n'),
    ("chat", b'data: {"choices":[{"error":{"message":"nested"}}]}\n\n'),
    ("chat", b'data: {"x":"error","error":null}\n\n'),
    ("chat", b"event: error\n\n"), ("chat", b"event: errors\ndata: {}\n\n"), ("chat", b"error: {}\n\n"),
    ("chat", b'data: {"a":"\\"error\\":{}"}\n\n'), ("chat", b'event: error\nevent: other\ndata: {}\n\n'),
    ("chat", b'data: {"a":"\\ud83d","b":"error","a":1e999}\n\n'), ("chat", b'data: {"usage":null,"usage":null}\n\n'),
    ("chat", b"data:\n\n"), ("chat", b"event: x\ndata: \n\n"), ("messages", b"data: [DONE]\n\n"),
    ("messages", b'event: content_block_delta\ndata: {"error":{"message":"text"}}\n\n'),
    ("responses", b'event: response.created\ndata: {"response":{"error":{"message":"text"}}}\n\n'),
])
def test_what_only_looks_like_an_error_passes(dialect: Dialect, event: bytes) -> None:
    """False errors (by the SDK's truth test), nested ones, quoted ones, and no data at all pass through."""
    seen = told(dialect, event)
    assert not seen["error"] and seen["consumed"] == len(event) and usage(seen) == (-1, -1, -1)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("data", [
    b"{", b'{"error":{ ', b'{"error":{"message":"not closed"}', b'["error",{"error":1}]', b"null", b'"text"', b"1",
    b" ", b"OK", b"<html></html>", b"{'a':1}", b'{"a":1,}', b'{"a":"\xff"}', b'{"a":1}{"b":2}', b"[DONE", b"[done]",
    b"{\ndata: ", b'{"choices":[{"delta":{"content":"bro'])
def test_an_event_that_is_no_object(dialect: Dialect, data: bytes) -> None:
    """An event whose data clients could not read is an error, before which consumption stops; no ping is looked at."""
    for name in (b"", b"event: message_delta\n", b"event: response.completed\n", b"event: other\n"):
        for stream in (b"", STREAMS[dialect][:STREAMS[dialect].index(b"\n\n") + 2]):
            seen = told(dialect, stream + name + b"data: " + data + b"\n\n" + STREAMS[dialect])
            assert seen["error"] and seen["unreadable"] and seen["consumed"] == len(stream)
    assert not told(dialect, b"event: ping\ndata: " + data + b"\n\n")["error"]


CHOICE = 'data: {"choices":[%s]}\n\n'
FINISHES: list[tuple[int, list[str], bool]] = [
    (1, [], False), (1, [""], False), (1, ['{"index":0,"delta":{}}'], False),
    (1, ['{"index":0,"finish_reason":null}'], False), (1, ['{"index":0,"finish_reason":""}'], False),
    (1, ['{"index":0,"delta":{"finish_reason":"stop"}}'], False),
    (1, ['{"index":0,"delta":{"content":"\\"finish_reason\\":\\"stop\\""},"finish_reason":null}'], False),
    (1, ['{"index":0,"finish_reason":"stop"}'], True), (1, ['{"finish_reason" : "length","delta":{"a":[1,{}]}}'], True),
    (1, ['{"delta":{"content":"}],{\\\\"},"finish_reason":"stop","index":0}', ""], True),
    (1, ['{"index":0,"finish_reason":"stop"}', '{"index":0,"delta":{}}'], True),
    (2, ['{"index":0,"finish_reason":"stop"}'], False), (1, ['{"index":0,"delta":{}}', '{"index":1,"delta":{}}',
                                                            '{"index":0,"finish_reason":"stop"}'], False),
    (2, ['{"index":0,"finish_reason":"stop"}', '{"index":1,"finish_reason":"stop"}'], True),
    (2, ['{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":"stop"}'], True),
    (2, ['{"index":0,"finish_reason":"stop"},{"index":1,"finish_reason":null}'], False),
    (1, ['{"index":62,"finish_reason":"stop"}'], True), (1, ['{"index":63,"finish_reason":"stop"}'], False),
    (1, ['{"index":-1,"finish_reason":"stop"}'], False), (1, ['"a","b"', '{"index":0,"finish_reason":"stop"}'], True),
]


@pytest.mark.parametrize(("count", "choices", "whole"), FINISHES)
def test_when_a_chat_stream_is_whole(count: int, choices: list[str], whole: bool) -> None:
    """Without [DONE] a stream is whole once as many choices as were asked for, and all that began, have a reason."""
    stream = "".join(CHOICE % choice for choice in choices).encode()
    assert tap_stream("chat", [stream[i:i + 1] for i in range(len(stream))], choices=count)["whole"] == whole
    assert tap_stream("chat", [stream], choices=count) == Slow("chat", stream, count).told()


def test_when_a_message_is_whole() -> None:
    """Without message_stop a message is whole once it has its stop_reason; a response never is without its end."""
    for reason, whole in (("end_turn", True), (None, False), ("", False)):
        stream = event("message_delta", delta={"stop_reason": reason}, usage={})
        assert told("messages", stream)["whole"] == whole
    assert not told("responses", STREAMS["responses"])["whole"]


HIDDEN = [
    ('{"id":1,"choices":[{}],"usage":null}', '{"id":1,"choices":[{}]}'),
    ('{"id":1,"choices":[{}] , "usage" : null , "x":1}', '{"id":1,"choices":[{}]  , "x":1}'),
    ('{"usage":null,"choices":[{}]}', '{"choices":[{}]}'), ('{ "usage": null , "choices":[{}]}', '{ "choices":[{}]}'),
    ('{"usage":null}', "{}"), ('{"choices":[{}],"usage":{"prompt_tokens":5,"x":{"usage":1}}}', '{"choices":[{}]}'),
    ('{"choices":[],"usage":{"prompt_tokens":5}}', None), ('{"choices":[ ],"usage":{"prompt_tokens":5}}', None),
    ('{"id":"x","usage":{"prompt_tokens":5}}', None), ('{"choices":null,"usage":{"prompt_tokens":5}}', None),
    ('{"choices":[],"x":1}', '{"choices":[],"x":1}'), ('{"choices":[],"usage":null}', '{"choices":[]}'),
    ('{"choices":[{"usage":null}],"u":"\\"usage\\":null"}', '{"choices":[{"usage":null}],"u":"\\"usage\\":null"}'),
]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_usage_is_taken_out(ending: str) -> None:
    """Where nobody but the gateway has asked for usage, it is counted, and no trace of it is left, at any cut."""
    def lines(text: str) -> bytes:
        return f": a\nid: 7\ndata: {text}\nevent: x\n\n".replace("\n", ending).encode()

    stream = b"".join(lines(text) for text, _ in HIDDEN) + b"data: [DONE]\n\n"
    expected = b"".join(lines(text) for _, text in HIDDEN if text is not None) + b"data: [DONE]\n\n"
    for size in (len(stream), 1, 7, 64):
        seen = tap_stream("chat", [stream[at:at + size] for at in range(0, len(stream), size)], hide=True)
        assert seen["relayed"] == expected and seen["terminal"] and seen["consumed"] == len(stream)
        assert seen["input"] == 5 and seen["events"] == len(HIDDEN) + 1
    for at in range(len(stream)):
        assert tap_stream("chat", [stream[:at], stream[at:]], hide=True)["relayed"] == expected
    assert tap_stream("chat", [STREAMS["chat"]], hide=True)["relayed"].count(b'"usage"') == 0


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_the_end_of_an_event_that_is_not_read(ending: bytes) -> None:
    """A long event's end is found wherever it is cut; what follows is left."""
    whole = b"data: {xx" + ending + b"data: more" + ending + ending
    for first in range(1, len(whole) - 1):
        for second in range(first, len(whole)):
            end = skip_event(whole + b"data: next\n\n", [first, second])
            assert whole[:end].rstrip(b"\n") == whole.rstrip(b"\n") or end == len(whole), (first, second)
    assert skip_event(whole[:-2 if ending == b"\r\n" else -1], [5]) == -1


def test_a_failed_response_is_an_end() -> None:
    """response.failed and response.incomplete end the stream as response.completed does, with their usage."""
    for kind in ("failed", "incomplete", "completed"):
        whole = event(f"response.{kind}", response={"error": {"code": "x"}, "usage": {"output_tokens": 3}})
        for stream in (whole, whole.partition(b"\n")[2]):
            seen = told("responses", stream)
            assert seen["terminal"] and not seen["error"] and usage(seen) == (-1, 3, -1)
            assert seen["failed"] == (kind == "failed") and (b'"x"' in seen["data"]) == seen["failed"]


def test_the_last_word_on_usage_counts() -> None:
    """Later totals replace earlier ones; what a later event leaves out, or says in another form, stays."""
    parts = ('{"prompt_tokens":5,"completion_tokens":1}', "null",
             '{"prompt_tokens":5,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":4}}',
             '{"completion_tokens":null,"prompt_tokens":"6"}',
             '{"completion_tokens":10.5,"prompt_tokens":-7,"prompt_tokens_details":{"cached_tokens":1e3}}',
             '{"completion_tokens":99999999999999999999,"prompt_tokens_details":null}')
    stream = "".join(f'data: {{"usage" : {part}}}\n\n' for part in parts).encode()
    assert usage(told("chat", stream)) == (5, 9, 4)


def test_usage_in_hiding_is_not_usage() -> None:
    """Only the top-level object counts: not a nested or quoted one, not under a name written with escapes."""
    for data in ('{"x":{"usage":{"prompt_tokens":1}}}', '{"x":"\\"usage\\":{\\"prompt_tokens\\":1}"}',
                 '{"usage":[{}]}'):
        assert usage(told("chat", f"data: {data}\n\n".encode())) == (-1, -1, -1)
    for data in ('{"us\\u0061ge":{"prompt_tokens":1}}',
                 '{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}'):
        assert usage(tap_stream("chat", [f"data: {data}\n\n".encode()])) == (-1, -1, -1)


def test_done_is_exact() -> None:
    """Only [DONE] itself ends a chat stream, with blanks around it or without."""
    for data in (b"[DONE", b"[DONE]]", b"[done]", b'"[DONE]"'):
        assert not told("chat", b"data: " + data + b"\n\n")["terminal"]
    for stream in (b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE] \n\n",
                   b"data:\t[DONE]\t \n\n", b"data:  [DONE]\r\n\r\n", b"\xef\xbb\xbfdata: [DONE]\n\n",
                   b"retry: 1\ndata: [DONE]\r\n\r\n", b"event: x\rdata: [DONE]\r\r",
                   b"\n\r\n\rdata: [DONE]\n\n"):
        seen = told("chat", stream)
        assert seen["terminal"] and seen["consumed"] == len(stream) and seen["events"] == 1
    assert not told("chat", b"\n\n\xef\xbb\xbfdata: [DONE]\n\n")["terminal"]
    joined = told("chat", b'\xef\xbb\xbfdata: {"a":\ndata: 1}\n\ndata: [DONE]\n\n')
    assert joined["terminal"] and not joined["error"] and joined["events"] == 2


@pytest.mark.parametrize("start", [b"\n", b"\r", b"\r\n", b"\r: x", b"data: x\n\n", b"\xef\xbb\xbf\n\n"])
def test_a_byte_order_mark_is_no_line(start: bytes) -> None:
    """An empty line right behind the mark ends there, also where the mark came alone."""
    for dialect in DIALECTS:
        told(dialect, b"\xef\xbb\xbf" + start)


def test_data_over_several_lines_is_one_text() -> None:
    """Lines of data are joined with LF before they are read, so JSON may break between its tokens."""
    lines = (b'data: {"choices":[],', b"data", b": note", b'data: "usage"', b"id: 3",
             b'data: :{"prompt_tokens":', b"data: 8}}", b"", b"")
    for ending in (b"\n", b"\r\n", b"\r"):
        assert usage(told("chat", ending.join(lines))) == (8, -1, -1)
    assert usage(told("chat", b'data: {"usage":{"prompt_tok\ndata: ens":8}}\n\n')) == (-1, -1, -1)
    assert told("chat", b"data: [DONE]\ndata: \n\n")["terminal"]


def test_pings_and_comments_are_no_events() -> None:
    """Comments, pings, events without data and unknown fields are consumed and not counted."""
    stream = b": ping\n\n" + event("ping") + b"event: message_stop\n\nid: 1\n\ndatum: x\n\n\n\n\r\n"
    for dialect in DIALECTS:
        seen = told(dialect, stream)
        assert seen["events"] == 0 and not seen["terminal"] and seen["consumed"] == len(stream)


def test_without_a_dialect_nothing_is_looked_for() -> None:
    """A relay without a dialect consumes all and knows nothing."""
    seen = tap_stream("none", [STREAMS["chat"], b"data: rest"])
    assert seen["consumed"] == len(STREAMS["chat"]) + 10 and seen["events"] == 0 and not seen["terminal"]
    answer = tap_answer("none", b"\x00")
    assert answer["valid"] and answer["terminal"] and not answer["error"] and usage(answer) == (-1, -1, -1)


ANSWERS: list[tuple[Dialect, dict[str, Any], tuple[int, int, int]]] = [
    ("chat", {"id": "c", "choices": [{"message": {"content": "x"}}], "usage": {
        "prompt_tokens": 9, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 3}}},
     (9, 12, 3)),
    ("chat", {"data": [{"embedding": [0.1, -2e-3]}], "usage": {"prompt_tokens": 8}}, (8, -1, -1)),
    ("chat", {"choices": [], "error": {"message": "partial"}}, (-1, -1, -1)),
    ("chat", {"choices": [], "usage": None}, (-1, -1, -1)),
    ("chat", {"error": None}, (-1, -1, -1)),
    ("chat", {"error": {}}, (-1, -1, -1)),
    ("responses", {"id": "r", "error": {"code": "x"}, "status": "failed", "usage": {
        "input_tokens": 36, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 87}}, (36, 87, 2)),
    ("messages", {"id": "m", "type": "message", "usage": {
        "input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 20,
        "cache_creation_input_tokens": 3, "cache_creation": {"input_tokens": 7}}}, (17, 20, 4)),
    ("messages", {"type": "message", "error": {"x": 1}}, (-1, -1, -1)),
]


@pytest.mark.parametrize(("dialect", "answer", "counts"), ANSWERS)
def test_a_whole_answer_gives_its_usage(dialect: Dialect, answer: dict[str, Any],
                                        counts: tuple[int, int, int]) -> None:
    """A plain answer is ended, has its dialect's usage, and is invalid when cut anywhere."""
    body = orjson.dumps(answer)
    seen = tap_answer(dialect, body)
    assert seen["valid"] and seen["terminal"] and not seen["error"] and usage(seen) == counts
    assert not any(tap_answer(dialect, body[:size])["valid"] for size in range(len(body)))
    assert not tap_answer(dialect, b"[" + body + b"]")["valid"]


@pytest.mark.parametrize(("dialect", "body", "data"), [
    ("chat", b' {"error": {"message":"no"} }', b'{"message":"no"}'), ("chat", b'{"error":"no"}', b'"no"'),
    ("responses", b'{"error":{"message":"no"}}', b'{"message":"no"}'),
    ("messages", b'{"type":"error","error":{"type":"api_error"}}', b'{"type":"api_error"}'),
    ("messages", b'{"type":"error","message":"no"}', b'{"type":"error","message":"no"}'),
])
def test_an_error_under_200_is_found(dialect: Dialect, body: bytes, data: bytes) -> None:
    """A body that is an error object in its dialect is an error, not an answer, and shows the object."""
    seen = tap_answer(dialect, body)
    assert seen["valid"] and seen["error"] and not seen["terminal"] and seen["data"] == data


numbers = st.integers(0, 500) | st.integers(-3, 2**64 - 1) | st.none() | st.floats(0, 1e9)
details = st.none() | st.fixed_dictionaries({}, optional={"cached_tokens": st.integers(0, 99)})
counts = st.fixed_dictionaries({}, optional={
    "prompt_tokens": numbers, "completion_tokens": numbers, "prompt_tokens_details": details,
    "input_tokens": numbers, "output_tokens": numbers, "input_tokens_details": details,
    "cache_read_input_tokens": numbers, "cache_creation_input_tokens": numbers})
inner = st.fixed_dictionaries({}, optional={"usage": counts}) | st.integers(0, 9)
types = st.sampled_from(
    ["message_start", "message_delta", "message_stop", "response.completed", "error", "ping", "", 5, None])
objects = st.fixed_dictionaries({}, optional={
    "type": types, "delta": st.text(max_size=40), "usage": counts | st.none(), "message": inner,
    "response": inner, "error": st.sampled_from([None, {}, "", {"message": "m"}, 0, 1])})
texts = objects.map(json.dumps).map(str.encode) | st.sampled_from(
    [b"[DONE]", b"{", b"", b"usage", b'"usage":{', b'{"error":1', b'[{"error":1}]'])
lines = st.builds(lambda colon, text: b"data" + colon + text, st.sampled_from([b": ", b":"]), texts) | (
    st.sampled_from([
        b": c", b"id: 1", b"data", b"datax: 1", b"event: ping", b"event: error", b"event",
        b"event: message_start", b"event:message_delta", b"event: message_stop", b"event: response.failed",
        b"event: response.output_text.delta"]))
endings = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r\n", b"\r"])
streams = st.lists(st.tuples(st.lists(st.tuples(lines, endings), max_size=3), endings), max_size=5).map(
    lambda events: b"".join(b"".join(line + end for line, end in event) + last for event, last in events))


@given(st.sampled_from(DIALECTS), streams, st.integers(0, 2**32))
@settings(max_examples=250)
def test_any_stream_is_read_as_the_standard_says(dialect: Dialect, stream: bytes, seed: int) -> None:
    """Any mixture of lines, endings and payloads gives what the slow reader finds, at every cut."""
    told(dialect, stream, seed)


ALIKE: dict[Dialect, bytes] = {
    "chat": b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}],'
            b'"obfuscation":"%b"}\n\n',
    "responses": b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":%b,'
                 b'"delta": "%b"}\n\n',
    "messages": b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%b,'
                b'"delta":{"type":"text_delta","text":"%b"}}\n\n'}
TEXTS = (b"a", b"Hi", b"", b" token", b"7", b"12", "ü".encode(), b"\\n", b'\\"', b"x" * 40, b"0")
SPOILT = (b'"', b"\\", b"\x01", b"\xff", b'","error":"x', b'","x":"y', b"\\q", b"01", b"1.5", b'"}', b"{}")


@pytest.mark.parametrize("dialect", ALIKE)
@pytest.mark.parametrize("seed", range(40))
def test_events_that_are_alike(dialect: Dialect, seed: int) -> None:
    """Nothing hides in an event that is like those before it but for its text."""
    rng = random.Random(seed)
    texts = [(rng.choice(TEXTS[:5] if seed % 2 else TEXTS), rng.choice(TEXTS)) for _ in range(60)]
    if dialect != "chat":
        texts = [(b"%d" % number if dialect == "responses" else b"0", text) for number, (_, text) in enumerate(texts)]
    stream = [ALIKE[dialect] % each for each in texts]
    place = rng.randrange(60)
    way = seed % 4
    if way == 1:
        stream[place] = ALIKE[dialect] % (texts[place][0], rng.choice(SPOILT))
    elif way == 2:
        stream[place] = ALIKE[dialect] % (rng.choice(SPOILT), texts[place][1])
    elif way == 3:
        at = rng.randrange(len(stream[place]))
        stream[place] = stream[place][:at] + bytes([rng.randrange(256)]) + stream[place][at + 1:]
    told(dialect, b"".join(stream), seed)


def test_usage_is_taken_out_of_events_that_are_alike() -> None:
    """Where chunks differ in their text alone, usage that nobody asked for is taken out of every one of them."""
    def stream(usage: bytes) -> list[bytes]:
        return [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]%b,"model":"m"}\n\n' % (text, usage)
                for text in (*TEXTS, *TEXTS)]

    told_of = tap_stream("chat", stream(b',"usage":null'), hide=True)
    assert told_of["relayed"] == b"".join(stream(b""))


heaps = st.lists(st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data: [DONE]", b"data: x", b"data", b":", b"event: error", b"x" * 16],
), max_size=14).map(b"".join)


@given(st.sampled_from(DIALECTS), heaps)
@settings(max_examples=250)
def test_any_heap_of_line_ends_is_cut_alike(dialect: Dialect, stream: bytes) -> None:
    """However CR, LF and CRLF are heaped, the events and the bytes consumed do not depend on the cuts."""
    told(dialect, stream)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_behind_the_bytes_is_read(dialect: Dialect) -> None:
    """With the bytes against an unmapped page, cut anywhere, nothing faults."""
    cliff = Cliff()
    bodies = (orjson.dumps(answer) for _, answer, _ in ANSWERS)
    for text in (STREAMS[dialect], *(event for _, event, _ in ERRORS), *bodies):
        for size in range(1, len(text) + 1):
            there = cliff.put(text[:size])
            assert tap_stream(dialect, [there]) == tap_stream(dialect, [text[:size]])
            assert tap_answer(dialect, there) == tap_answer(dialect, text[:size])
