"""Short streams and answers of every dialect, with usage whose numbers cannot be taken for another's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.gateway.client import HELLO
from tests.gateway.script import completion, message


def event(data: dict[str, Any], name: str | None = None) -> bytes:
    """One event; named where the dialect names its events."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def named(data: dict[str, Any]) -> bytes:
    """An event that is named as its data's type."""
    return event(data, data["type"])


def piece(**delta: Any) -> bytes:
    """A chat chunk."""
    return event({"id": "1", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": delta, "finish_reason": None}]})


@dataclass(frozen=True)
class Dialect:
    """A route, what to ask there, its good stream up to and with the last event, a plain answer, and the tokens
    that both report: input, output, cached; the error event of the provider, and the route's metric label."""

    path: str
    body: dict[str, Any]
    events: tuple[bytes, ...]
    plain: bytes
    tokens: tuple[int, int, int]
    error: bytes
    route: str
    surface: str = "openai"

    @property
    def stream(self) -> bytes:
        """The whole stream."""
        return b"".join(self.events)


DONE = b"data: [DONE]\n\n"
CHAT_USAGE = {"prompt_tokens": 101, "completion_tokens": 13, "total_tokens": 114,
              "prompt_tokens_details": {"cached_tokens": 7}}
RESPONSES_USAGE = {"input_tokens": 103, "output_tokens": 17, "total_tokens": 120,
                   "input_tokens_details": {"cached_tokens": 11}}
MESSAGES_USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 100}
OPENAI_ERROR = {"error": {"message": "The server had an error", "type": "server_error", "param": None, "code": None}}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "scripted", "output": [], "error": None}

DIALECTS: dict[str, Dialect] = {
    "chat": Dialect(
        "/v1/chat/completions", {"messages": HELLO},
        (piece(role="assistant", content=""), piece(content="hel"), b": a comment\n\n", piece(content="lo\ndata: x"),
         event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
         event({"choices": [], "usage": CHAT_USAGE}), DONE),
        completion(usage=CHAT_USAGE), (101, 13, 7), event(OPENAI_ERROR), "chat"),
    "completions": Dialect(
        "/v1/completions", {"prompt": "hello"},
        (event({"choices": [{"index": 0, "text": "hel", "finish_reason": None}]}),
         event({"choices": [{"index": 0, "text": "lo", "finish_reason": "stop"}], "usage": CHAT_USAGE}), DONE),
        json.dumps({"object": "text_completion", "choices": [{"index": 0, "text": "hello"}],
                    "usage": CHAT_USAGE}).encode(),
        (101, 13, 7), event(OPENAI_ERROR), "completions"),
    "responses": Dialect(
        "/v1/responses", {"input": "hello"},
        (named({"type": "response.created", "sequence_number": 0, "response": RESPONSE}),
         named({"type": "response.output_text.delta", "sequence_number": 1, "delta": "hello"}),
         named({"type": "response.completed", "sequence_number": 2, "response": {
             **RESPONSE, "status": "completed", "usage": RESPONSES_USAGE}})),
        json.dumps({**RESPONSE, "status": "completed", "usage": RESPONSES_USAGE}).encode(), (103, 17, 11),
        named({"type": "error", "sequence_number": 1, "code": "server_error", "message": "The server had an error",
               "param": None}), "responses"),
    "messages": Dialect(
        "/v1/messages", {"messages": HELLO, "max_tokens": 64},
        (named({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [],
            "usage": {**MESSAGES_USAGE, "output_tokens": 1}}}),
         named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
         named({"type": "ping"}),
         named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}}),
         named({"type": "content_block_stop", "index": 0}),
         named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 19}}),
         named({"type": "message_stop"})),
        message(usage={**MESSAGES_USAGE, "output_tokens": 19}), (107, 19, 100),
        named({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "messages",
        "anthropic"),
}
