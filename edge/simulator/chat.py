"""OpenAI's chat completions and completions, plain and streaming.

Shapes: https://platform.openai.com/docs/api-reference/chat and /completions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from edge.simulator import content
from edge.simulator.answer import Answer, Call
from edge.simulator.content import Text
from edge.simulator.errors import case_error
from edge.simulator.faults import Case
from edge.simulator.request import unique
from edge.simulator.tools import ToolCall, call_tool

STREAM = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"
CHOICES: dict[str, str | None] = {"auto": None, "required": "any"}     # of tools; others are names, or `none`
FINGERPRINT = "fp_simulated00"


def chat(call: Call) -> Answer:
    """POST /v1/chat/completions."""
    body = call.body
    prompt = content.last_user(body["messages"])
    sent = 3 + sum(4 + content.count(content.plain(message)) for message in body["messages"])
    bound = call.bound("max_completion_tokens", "max_tokens")
    texts = [_say(call, prompt, index, bound) for index in range(body.get("n") or 1)]
    tool = _tool(body)
    if body.get("stream"):
        return _stream(_chat_events(call, texts, tool, sent))
    choices = [{"index": index, "message": _message(call, text, tool, index), "logprobs": None,
                "finish_reason": "tool_calls" if tool else text.finish} for index, text in enumerate(texts)]
    return Answer(body=orjson.dumps({
        **_common(call, "chatcmpl", "chat.completion"), "choices": choices,
        "usage": _usage(sent, _made(texts, tool)), "service_tier": "default"}))


def completions(call: Call) -> Answer:
    """POST /v1/completions."""
    body = call.body
    prompts = content.prompts(body.get("prompt"))
    sent = sum(content.count(prompt) for prompt in prompts)
    texts = [_say(call, prompt, index, call.bound("max_tokens"))
             for prompt in prompts for index in range(body.get("n") or 1)]
    if body.get("stream"):
        return _stream(_completion_events(call, texts, sent))
    choices = [{"text": text.whole, "index": index, "logprobs": None, "finish_reason": text.finish}
               for index, text in enumerate(texts)]
    return Answer(body=orjson.dumps({**_common(call, "cmpl", "text_completion"), "choices": choices,
                                     "usage": _usage(sent, _made(texts, None))}))


def _say(call: Call, prompt: str, index: int, bound: int | None) -> Text:
    seed = content.digest(call.body["model"], prompt, str(index))
    return content.say(prompt, seed, call.tokens, bound, call.fault.big)


def _common(call: Call, prefix: str, kind: str) -> dict[str, Any]:
    return {"id": unique(prefix, call.request).replace("_", "-"), "object": kind,
            "created": int(call.request.at), "model": call.body["model"], "system_fingerprint": FINGERPRINT}


def _usage(sent: int, made: int) -> dict[str, Any]:
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def _made(texts: list[Text], tool: ToolCall | None) -> int:
    """The tokens of all choices."""
    if tool:
        return len(texts) * content.count(tool.name, tool.arguments)
    return sum(len(text.pieces) for text in texts)


def _tool(body: dict[str, Any]) -> ToolCall | None:
    functions = [tool.get("function") for tool in body.get("tools") or [] if isinstance(tool, dict)]
    schemas = {str(function.get("name")): function.get("parameters")
               for function in functions if isinstance(function, dict)}
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict):
        wanted = choice.get("function")
        choice = str(wanted.get("name")) if isinstance(wanted, dict) else "none"
    return call_tool(schemas, body["messages"], CHOICES.get(choice, choice))


def _message(call: Call, text: Text, tool: ToolCall | None, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if tool else text.whole,
                               "refusal": None, "annotations": []}
    if tool:
        message["tool_calls"] = [{"id": f"{unique('call', call.request)}{index}", "type": "function",
                                  "function": {"name": tool.name, "arguments": tool.arguments}}]
    return message


def _stream(events: Iterator[bytes]) -> Answer:
    return Answer(content_type=STREAM, events=events, terminal=(DONE,), error_event=_error)


def _error(sent: int, case: Case | None) -> bytes:
    return b"data: " + orjson.dumps(case_error("openai", case or "server")[1]) + b"\n\n"


def _chat_events(call: Call, texts: list[Text], tool: ToolCall | None, sent: int) -> Iterator[bytes]:
    """Chunks as OpenAI sends them: the role, the pieces, the finish, and usage when it was asked for."""
    with_usage = _wants_usage(call)
    common = orjson.dumps({**_common(call, "chatcmpl", "chat.completion.chunk"), "service_tier": "default"})
    head = b"data: " + common[:-1] + b',"choices":['
    tail = b'],"usage":null}\n\n' if with_usage else b"]}\n\n"

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return head + orjson.dumps({"index": index, "delta": delta, "logprobs": None,
                                    "finish_reason": finish}) + tail

    for index, text in enumerate(texts):
        opening: dict[str, Any] = {"role": "assistant", "content": None if tool else "", "refusal": None}
        if tool:
            opening["tool_calls"] = [{"index": 0, "id": f"{unique('call', call.request)}{index}",
                                      "type": "function", "function": {"name": tool.name, "arguments": ""}}]
        yield chunk(index, opening)
        if tool:
            for part in content.halves(tool.arguments):
                yield chunk(index, {"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        else:
            # One piece costs one small concatenation: a simulator that streams to thousands must be cheap.
            before = head + b'{"index":%d,"delta":{"content":' % index
            after = b'},"logprobs":null,"finish_reason":null}' + tail
            for piece in text.pieces:
                yield before + orjson.dumps(piece) + after
        yield chunk(index, {}, "tool_calls" if tool else text.finish)
    if with_usage:
        yield head + b'],"usage":' + orjson.dumps(_usage(sent, _made(texts, tool))) + b"}\n\n"


def _completion_events(call: Call, texts: list[Text], sent: int) -> Iterator[bytes]:
    with_usage = _wants_usage(call)
    common = _common(call, "cmpl", "text_completion")
    for index, text in enumerate(texts):
        last = len(text.pieces) - 1
        for at, piece in enumerate(text.pieces):
            choice = {"text": piece, "index": index, "logprobs": None,
                      "finish_reason": text.finish if at == last else None}
            chunk = {**common, "choices": [choice]}
            if with_usage:
                chunk["usage"] = None
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
    if with_usage:
        usage = _usage(sent, _made(texts, None))
        yield b"data: " + orjson.dumps({**common, "choices": [], "usage": usage}) + b"\n\n"


def _wants_usage(call: Call) -> bool:
    options = call.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True
