"""Anthropic's messages, plain and streaming, and its token count.

Shapes: https://docs.anthropic.com/en/api/messages and /messages-streaming.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from edge.simulator import content
from edge.simulator.answer import Answer, Call
from edge.simulator.chat import STREAM
from edge.simulator.errors import case_error
from edge.simulator.faults import Case
from edge.simulator.request import unique
from edge.simulator.tools import ToolCall, call_tool

DELTA = (b'event: content_block_delta\n'
         b'data: {"type":"content_block_delta","index":0,"delta":{%s}}\n\n')
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def messages(call: Call) -> Answer:
    """POST /v1/messages."""
    body = call.body
    prompt = content.last_user(body["messages"])
    seed = content.digest(body["model"], prompt)
    text = content.say(prompt, seed, call.tokens, call.bound("max_tokens"), call.fault.big)
    tool = _tool(call)
    made = content.count(tool.name, tool.arguments) if tool else len(text.pieces)
    stop = {"stop_reason": "tool_use" if tool else STOP_REASONS[text.finish], "stop_sequence": None}
    sent = _sent(body)
    message = {"id": unique("msg", call.request), "type": "message", "role": "assistant",
               "model": body["model"], "content": [], "stop_reason": None, "stop_sequence": None,
               "usage": _usage(sent, 1)}
    if body.get("stream"):
        if tool:
            block = _block(call, tool, {})
            deltas = (b'"type":"input_json_delta","partial_json":%s' % orjson.dumps(part)
                      for part in ("", *content.halves(tool.arguments)))
        else:
            block = {"type": "text", "text": ""}
            deltas = (b'"type":"text_delta","text":%s' % orjson.dumps(piece) for piece in text.pieces)
        events = _events(message, block, deltas, {"delta": stop, "usage": {"output_tokens": made}})
        return Answer(content_type=STREAM, events=events, terminal=(event({"type": "message_stop"}),),
                      error_event=_error)
    block = _block(call, tool, orjson.loads(tool.arguments)) if tool else {"type": "text", "text": text.whole}
    return Answer(body=orjson.dumps(message | {"content": [block], "usage": _usage(sent, made)} | stop))


def count_tokens(call: Call) -> Answer:
    """POST /v1/messages/count_tokens."""
    return Answer(body=orjson.dumps({"input_tokens": _sent(call.body)}))


def event(data: dict[str, Any]) -> bytes:
    """A server-sent event that is named as its data's `type` is."""
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), orjson.dumps(data))


def _error(sent: int, case: Case | None) -> bytes:
    return event(case_error("anthropic", case or "overloaded")[1])


def _sent(body: dict[str, Any]) -> int:
    texts = [content.plain(message) for message in body["messages"]]
    return 3 + 4 * len(texts) + content.count(content.plain(body.get("system")), *texts)


def _usage(sent: int, made: int) -> dict[str, Any]:
    return {"input_tokens": sent, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": made, "service_tier": "standard"}


def _tool(call: Call) -> ToolCall | None:
    schemas = {str(tool.get("name")): tool["input_schema"] for tool in call.body.get("tools") or []
               if isinstance(tool, dict) and "input_schema" in tool}        # Anthropic's own tools have none
    choice = call.body.get("tool_choice") or {}
    kind = choice.get("type") if choice else "auto"
    wanted = choice.get("name") if kind == "tool" else kind
    return call_tool(schemas, call.body["messages"], None if wanted == "auto" else str(wanted))


def _block(call: Call, tool: ToolCall, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": unique("toolu", call.request), "name": tool.name, "input": arguments}


def _events(message: dict[str, Any], block: dict[str, Any], deltas: Iterable[bytes],
            delta: dict[str, Any]) -> Iterator[bytes]:
    """A message's events up to message_delta; message_stop is the terminal one."""
    yield event({"type": "message_start", "message": message})
    yield event({"type": "content_block_start", "index": 0, "content_block": block})
    yield event({"type": "ping"})
    for part in deltas:
        yield DELTA % part
    yield event({"type": "content_block_stop", "index": 0})
    yield event({"type": "message_delta", **delta})
