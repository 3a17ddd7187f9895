"""Other readers of what the fuzzer makes: where both accept an input, both see the same in it.

Each oracle takes an input and says whether there was something to compare; a disagreement is an AssertionError, or
whatever the other reader raises at what we accept.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import orjson

from edge._fast.dialect import tap
from edge._fast.http import chunk, head
from edge._fast.json import scan
from tests.fast import peers, slow_json
from tests.fast.slow_events import Dialect, Slow

TOP = ("error", "usage", "type", "id", "choices", "data", "message", "response", "sequence_number", "delta", "status")
# Of usage and of choices. One of them in letters of another case means it to some readers: the gateway takes neither.
INSIDE = ("prompt_tokens", "completion_tokens", "prompt_tokens_details", "input_tokens", "output_tokens",
          "input_tokens_details", "cache_read_input_tokens", "cached_tokens", "cache_creation_input_tokens",
          "total_tokens", "index", "finish_reason", "stop_reason")
# An escape that stands for a letter: wanted names and types are not looked for behind those.
ESCAPED = re.compile(rb"\\u00[2-7]")


class Unclear(Exception):
    """JSON that orjson reads in one way of several: the gateway refuses to."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = {name for name, _ in pairs}
    meant = {slow_json.folded(name.encode()) for name in names if name not in INSIDE}
    if len(names) < len(pairs) or not meant.isdisjoint(INSIDE):
        raise Unclear
    return dict(pairs)


class Careful(Slow):
    """The slow reader of event streams, which gives up where names are given twice or with escapes."""

    @staticmethod
    def _parse(data: bytes) -> Any:
        try:
            parsed = orjson.loads(data)
        except orjson.JSONDecodeError:
            return ...
        try:
            json.loads(data, object_pairs_hook=_each_once)
            scan.scan_members(data, TOP)
        except RecursionError:
            raise Unclear from None
        except scan.ScanError as refused:
            if refused.reason != "not an object":
                raise Unclear from None
        if ESCAPED.search(data):
            raise Unclear
        return parsed


def head_agrees(response: bool, text: bytes) -> bool:
    """h11 and httptools accept the head and read the same method, target, fields and framing."""
    try:
        found = head.response_head(text) if response else head.request_head(text)
    except head.HeadError:
        return False
    if found is not None:
        peers.agree_on_head(text, dict(found), response)
    return found is not None


def body_agrees(text: bytes) -> bool:
    """h11 and httptools decode the same payload, and end at the same byte."""
    try:
        found = chunk.decode_chunked([text])
    except chunk.ChunkError:
        return False
    peers.agree_on_body(text, found)
    return True


def members_agree(text: bytes) -> bool:
    """The slow reader sees the same members or the same trouble, and orjson the same values."""
    slow_json.agree(text)
    return True


def answer_agrees(dialect: Dialect, text: bytes) -> bool:
    """A whole answer has the usage and the fate that orjson and a few lines of Python find."""
    try:
        wanted = Careful(dialect, b"").answer(text)
    except (Unclear, RecursionError):       # it is too deep for Python's reader
        return False
    found: dict[str, Any] = {**tap.tap_answer(dialect, text)}
    found["data"] = orjson.loads(found["data"]) if found["data"] else ...
    assert found == wanted, (found, wanted)
    return True


def stream_agrees(dialect: Dialect, text: bytes) -> bool:
    """The slow reader of event streams tells the same of the stream."""
    try:
        wanted = Careful(dialect, text).told()
    except (Unclear, RecursionError):
        return False
    found = tap.tap_stream(dialect, [text])
    assert found == wanted, (found, wanted)
    return True


DIALECTS: tuple[Dialect, ...] = ("chat", "responses", "messages")
ORACLES: dict[str, Callable[[bytes], bool]] = {
    "request": functools.partial(head_agrees, False), "response": functools.partial(head_agrees, True),
    "chunked": body_agrees, "members": members_agree,
    **{f"body-{dialect}": functools.partial(answer_agrees, dialect) for dialect in DIALECTS},
    **{f"stream-{dialect}": functools.partial(stream_agrees, dialect) for dialect in DIALECTS},
}


def disagreement(target: str, text: bytes) -> tuple[bool, str]:
    """Whether an input could be compared, and in what the readers differ; empty where they agree."""
    try:
        return ORACLES[target](text), ""
    except Exception as error:          # whatever the other reader makes of an input that we accept is the finding
        return True, f"an oracle disagrees: {type(error).__name__}: {error}"
