"""Anthropic's messages, plain and streaming, and its token count.

Shapes: https://docs.anthropic.com/en/api/messages and /messages-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from edge.simulator import content
from edge.simulator.answer import Answer, Call, unique
from edge.simulator.chat import STREAM
from edge.simulator.content import Text
from edge.simulator.errors import anthropic_error

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def messages(call: Call) -> Answer:
    """POST /v1/messages."""
    body = call.body
    prompt = content.last_user(body["messages"])
    seed = content.digest(body["model"], prompt)
    text = content.say(prompt, seed, call.tokens, call.bound("max_tokens"), call.fault.big)
    tool = _tool(call, prompt)
    made = content.count(tool["name"], orjson.dumps(tool["input"]).decode()) if tool else len(text.pieces)
    stop = "tool_use" if tool else STOP_REASONS[text.finish]
    message = {"id": unique("msg", call.request), "type": "message", "role": "assistant", "model": body["model"],
               "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(_sent(body), 1)}
    if body.get("stream"):
        error = event(anthropic_error(529))
        return Answer(content_type=STREAM, events=_events(message, text, tool, stop, made),
                      terminal=(event({"type": "message_stop"}),), error_event=lambda sent: error)
    message |= {"content": [tool or {"type": "text", "text": text.whole}], "stop_reason": stop,
                "usage": _usage(_sent(body), made)}
    return Answer(body=orjson.dumps(message))


def count_tokens(call: Call) -> Answer:
    """POST /v1/messages/count_tokens."""
    return Answer(body=orjson.dumps({"input_tokens": _sent(call.body)}))


def event(data: dict[str, Any]) -> bytes:
    """A server-sent event that is named as its data's `type` is."""
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), orjson.dumps(data))


def _sent(body: dict[str, Any]) -> int:
    texts = [content.plain(message.get("content")) for message in body["messages"] if isinstance(message, dict)]
    return 3 + 4 * len(texts) + content.count(content.plain(body.get("system")), *texts)


def _usage(sent: int, made: int) -> dict[str, Any]:
    return {"input_tokens": sent, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": made, "service_tier": "standard"}


def _tool(call: Call, prompt: str) -> dict[str, Any] | None:
    """The tool_use block, for the tool that is asked for or one that the prompt names."""
    tools = [tool for tool in call.body.get("tools") or [] if isinstance(tool, dict) and tool.get("name")]
    choice = call.body.get("tool_choice") or {"type": "auto"}
    kind = choice.get("type") if isinstance(choice, dict) else "auto"
    if kind == "any":
        chosen = tools
    elif kind == "tool":
        chosen = [tool for tool in tools if tool["name"] == choice.get("name")]
    else:
        chosen = [tool for tool in tools if kind == "auto" and str(tool["name"]) in prompt]
    if not chosen:
        return None
    return {"type": "tool_use", "id": unique("toolu", call.request), "name": str(chosen[0]["name"]),
            "input": content.example(chosen[0].get("input_schema")) or {}}


def _events(message: dict[str, Any], text: Text, tool: dict[str, Any] | None, stop: str, made: int) -> Iterator[bytes]:
    """A message's events up to message_delta; message_stop is the terminal one."""
    yield event({"type": "message_start", "message": message})
    block = {**tool, "input": {}} if tool else {"type": "text", "text": ""}
    yield event({"type": "content_block_start", "index": 0, "content_block": block})
    yield event({"type": "ping"})
    before = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{'
    if tool:
        whole = orjson.dumps(tool["input"]).decode()
        for part in ("", whole[:len(whole) // 2], whole[len(whole) // 2:]):
            yield b'%s"type":"input_json_delta","partial_json":%s}}\n\n' % (before, orjson.dumps(part))
    else:
        for piece in text.pieces:
            yield b'%s"type":"text_delta","text":%s}}\n\n' % (before, orjson.dumps(piece))
    yield event({"type": "content_block_stop", "index": 0})
    yield event({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
                 "usage": {"output_tokens": made}})
