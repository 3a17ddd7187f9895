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

from edge._fast.tap import tap_answer, tap_stream
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
        assert seen["error"] and not seen["terminal"] and seen["data"] == data
        assert seen["consumed"] == len(before) and seen["events"] == (1 if before else 0)


@pytest.mark.parametrize(("dialect", "event"), [
    ("chat", b'data: {"error":null,"choices":[]}\n\n'), ("chat", b'data: {"error":{},"choices":[]}\n\n'),
    ("chat", b'data: {"error":{ \n\n'), ("chat", b'data: {"error":[ ]}\n\n'),
    ("chat", b'data: {"error":""}\n\n'), ("chat", b'data: {"error":0}\n\n'),
    ("chat", b'data: {"error":0.0}\n\n'), ("chat", b'data: {"error":false}\n\n'),
    ("chat", b'data: {"choices":[{"error":{"message":"nested"}}]}\n\n'),
    ("chat", b'data: {"x":"error","error":null}\n\n'),
    ("chat", b'data: ["error",{"error":1}]\n\n'), ("chat", b'data: {"error":{"message":"not closed"}\n\n'),
    ("chat", b"event: error\n\n"), ("chat", b"event: errors\ndata: {}\n\n"), ("chat", b"error: {}\n\n"),
    ("chat", b'data: {"a":"\\"error\\":{}"}\n\n'), ("chat", b'event: error\nevent: other\ndata: {}\n\n'),
    ("messages", b'event: content_block_delta\ndata: {"error":{"message":"text"}}\n\n'),
    ("responses", b'event: response.created\ndata: {"response":{"error":{"message":"text"}}}\n\n'),
    ("messages", b"event: message_delta\ndata: {not json\n\n"), ("messages", b"data: {not json\n\n"),
])
def test_what_only_looks_like_an_error_passes(dialect: Dialect, event: bytes) -> None:
    """False errors (by the SDK's truth test), nested ones, quoted ones and broken JSON pass through."""
    seen = told(dialect, event)
    assert not seen["error"] and seen["consumed"] == len(event) and usage(seen) == (-1, -1, -1)


def test_a_failed_response_is_an_end() -> None:
    """response.failed and response.incomplete end the stream as response.completed does, with their usage."""
    for kind in ("failed", "incomplete", "completed"):
        whole = event(f"response.{kind}", response={"error": {"code": "x"}, "usage": {"output_tokens": 3}})
        for stream in (whole, whole.partition(b"\n")[2]):
            seen = told("responses", stream)
            assert seen["terminal"] and not seen["error"] and usage(seen) == (-1, 3, -1)
    assert tap_stream("responses", [b"event: response.completed\ndata: {not json\n\n"])["terminal"]


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
                 '{"usage":[{}]}', '{"usage":{"prompt_tokens":1}', '[{"usage":{"prompt_tokens":1}}]'):
        assert usage(told("chat", f"data: {data}\n\n".encode())) == (-1, -1, -1)
    for data in ('{"us\\u0061ge":{"prompt_tokens":1}}',
                 '{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}'):
        assert usage(tap_stream("chat", [f"data: {data}\n\n".encode()])) == (-1, -1, -1)


def test_done_is_exact() -> None:
    """Only [DONE] itself ends a chat stream."""
    for data in (b"[DONE", b"[DONE]]", b"[done]", b" [DONE]", b'"[DONE]"', b"[DONE] "):
        assert not told("chat", b"data: " + data + b"\n\n")["terminal"]
    for stream in (b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"\xef\xbb\xbfdata: [DONE]\n\n",
                   b"retry: 1\ndata: [DONE]\r\n\r\n", b"event: x\rdata: [DONE]\r\r",
                   b"\n\r\n\rdata: [DONE]\n\n"):
        seen = told("chat", stream)
        assert seen["terminal"] and seen["consumed"] == len(stream) and seen["events"] == 1
    assert not told("chat", b"\n\n\xef\xbb\xbfdata: [DONE]\n\n")["terminal"]


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
    assert not told("chat", b"data: [DONE]\ndata: \n\n")["terminal"]


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
