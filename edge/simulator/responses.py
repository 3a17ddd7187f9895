"""OpenAI's responses, plain and as a stream of named events.

Shapes: https://platform.openai.com/docs/api-reference/responses and /responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson

from edge.simulator import content
from edge.simulator.answer import Answer, Call
from edge.simulator.chat import CHOICES, STREAM
from edge.simulator.content import Text
from edge.simulator.errors import case_error
from edge.simulator.faults import Case
from edge.simulator.messages import event
from edge.simulator.request import unique
from edge.simulator.tools import ToolCall, call_tool

DELTA = (
    b'event: response.output_text.delta\n'
    b'data: {"type":"response.output_text.delta","sequence_number":%d,"output_index":0,"content_index":0,'
    b'"item_id":%s,"delta":%s,"logprobs":[]}\n\n')


def responses(call: Call) -> Answer:
    """POST /v1/responses."""
    body = call.body
    given = body.get("input") or ""
    prompt = given if isinstance(given, str) else content.last_user(given)
    seed = content.digest(body["model"], prompt)
    text = content.say(prompt, seed, call.tokens, call.bound("max_output_tokens"), call.fault.big)
    tool = _tool(body)
    item = _tool_item(call, tool) if tool else _message_item(call, text)
    made = content.count(tool.name, tool.arguments) if tool else len(text.pieces)
    sent = 3 + content.count(content.plain(given), content.plain(body.get("instructions")))
    begun = _response(call)
    ended = begun | {"output": [item], "usage": {
        "input_tokens": sent, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": sent + made}}
    if text.finish == "length" and tool is None:
        ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    else:
        ended |= {"status": "completed", "completed_at": int(call.request.at)}
    if not body.get("stream"):
        return Answer(body=orjson.dumps(ended))
    middle = _tool_events(item, tool) if tool else _text_events(item, text)
    number = 2 + (5 if tool else len(text.pieces) + 5)      # created, in_progress, and the item's own events
    last = event({"type": f"response.{ended['status']}", "sequence_number": number, "response": ended})
    return Answer(content_type=STREAM, events=_events(begun, middle), terminal=(last,), error_event=_error,
                  failed=partial(_failed, begun))


def _error(sent: int, case: Case | None) -> bytes:
    error = case_error("openai", case or "server")[1]["error"]
    return event({"type": "error", "sequence_number": sent, "code": error["code"] or error["type"],
                  "message": error["message"], "param": error["param"]})


def _failed(begun: dict[str, Any], sent: int, case: Case | None) -> bytes:
    error = case_error("openai", case or "server")[1]["error"]
    return event({"type": "response.failed", "sequence_number": sent, "response": begun | {
        "status": "failed", "error": {"code": error["code"] or error["type"], "message": error["message"]}}})


def _response(call: Call) -> dict[str, Any]:
    """A response that has just begun, with the client's own settings in it as OpenAI gives them back."""
    body = call.body
    return {
        "id": unique("resp", call.request), "object": "response", "created_at": int(call.request.at),
        "status": "in_progress", "background": False, "completed_at": None, "error": None,
        "incomplete_details": None, "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"), "model": body["model"], "output": [],
        "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None}, "service_tier": "default", "store": True,
        "temperature": body.get("temperature", 1.0), "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"), "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0), "truncation": "disabled", "usage": None, "user": None,
        "metadata": body.get("metadata") or {}}


def _tool(body: dict[str, Any]) -> ToolCall | None:
    functions = [tool for tool in body.get("tools") or []
                 if isinstance(tool, dict) and tool.get("type") == "function"]
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        choice = str(choice.get("name", "none"))
    schemas = {str(tool.get("name")): tool.get("parameters") for tool in functions}
    given = body.get("input")
    said = given if isinstance(given, list) else [{"role": "user", "content": given}]
    return call_tool(schemas, said, CHOICES.get(choice, choice))


def _message_item(call: Call, text: Text) -> dict[str, Any]:
    return {"id": unique("msg", call.request), "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text.whole, "annotations": [], "logprobs": []}]}


def _tool_item(call: Call, tool: ToolCall) -> dict[str, Any]:
    return {"id": unique("fc", call.request), "type": "function_call", "status": "completed",
            "call_id": unique("call", call.request), "name": tool.name, "arguments": tool.arguments}


def _events(begun: dict[str, Any], middle: Iterator[dict[str, Any] | tuple[str, str]]) -> Iterator[bytes]:
    """All events but the last, numbered; a pair is an item's id and a piece of its text."""
    yield event({"type": "response.created", "sequence_number": 0, "response": begun})
    yield event({"type": "response.in_progress", "sequence_number": 1, "response": begun})
    for number, data in enumerate(middle, 2):
        if isinstance(data, tuple):
            yield DELTA % (number, orjson.dumps(data[0]), orjson.dumps(data[1]))
        else:
            yield event({"type": data["type"], "sequence_number": number, "output_index": 0, **data})


def _text_events(item: dict[str, Any], text: Text) -> Iterator[dict[str, Any] | tuple[str, str]]:
    place = {"item_id": item["id"], "content_index": 0}
    part = item["content"][0]
    yield {"type": "response.output_item.added", "item": item | {"status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **place, "part": part | {"text": ""}}
    for piece in text.pieces:
        yield item["id"], piece
    yield {"type": "response.output_text.done", **place, "text": text.whole, "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _tool_events(item: dict[str, Any], tool: ToolCall) -> Iterator[dict[str, Any] | tuple[str, str]]:
    name = "response.function_call_arguments"
    yield {"type": "response.output_item.added", "item": item | {"status": "in_progress", "arguments": ""}}
    for part in content.halves(tool.arguments):
        yield {"type": f"{name}.delta", "item_id": item["id"], "delta": part}
    yield {"type": f"{name}.done", "item_id": item["id"], "name": tool.name, "arguments": tool.arguments}
    yield {"type": "response.output_item.done", "item": item}
