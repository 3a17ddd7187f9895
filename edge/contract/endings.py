"""How a stream ends that has begun and then fails: the contract's event, and what it cannot know before.

An error that the provider has told inside its stream keeps its words, type and code, in the contract's shape.
Clients of /v1/responses need more than one event: OpenAI's SDKs raise on `error`, Codex and the AI SDK take the end and
its reason from `response.failed`, and all of them want events numbered.
Source: OpenAI API reference, streaming events of responses.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from edge.contract.provider_errors import Details


class Begun(NamedTuple):
    """What is known of a response that has begun: its id, its model, the number of its next event, and a Unix time."""

    name: str
    model: str | None
    number: int
    created: int


def ending(event: bytes, condition: str, message: str | None, told: Details | None, begun: Begun | None) -> bytes:
    """The events that a stream ends with, made of the contract's. `told` and `message` are the provider's own."""
    data: dict[str, Any] = json.loads(event.partition(b"\ndata: ")[2])
    inner = data.get("error")
    error: dict[str, Any] = inner if isinstance(inner, dict) else data
    if told is not None:
        own = {"message": message, "type": told.type, "code": told.code}
        error.update({name: value for name, value in own.items() if name in error and value is not None})
    if begun is None:
        return _event("error", data)
    code = error.get("code") or condition
    if "code" in error:
        error["code"] = code
    flat = {"type": "error", "sequence_number": begun.number, "code": code, "message": error.get("message"),
            "param": error.get("param")}
    failed = {"type": "response.failed", "sequence_number": begun.number + 1, "response": {
        "id": begun.name, "object": "response", "created_at": begun.created, "status": "failed", "background": False,
        "error": {"code": code, "message": error.get("message")}, "incomplete_details": None, "model": begun.model,
        "output": [], "usage": None}}
    return _event("error", {**data, **flat}) + _event("response.failed", failed)


def _event(kind: str, data: dict[str, Any]) -> bytes:
    """All but ASCII is escaped: some readers of streams split lines at more than CR and LF."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")
