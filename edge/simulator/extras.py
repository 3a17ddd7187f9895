"""The smaller endpoints: models, embeddings, moderations, images and audio, in small believable form."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from array import array
from typing import Any

import orjson

from edge.simulator import content
from edge.simulator.answer import Answer, Call
from edge.simulator.request import unique
from edge.simulator.uploads import parts

MODELS = {
    "openai": ("gpt-5.5", "gpt-5.5-mini", "gpt-4o", "gpt-4o-mini", "text-embedding-3-small",
               "text-embedding-3-large"),
    "anthropic": ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"),
}
BORN = 1735689600           # 2025-01-01, when every simulated model was made
SIZES = {"text-embedding-3-large": 3072}
USUAL_SIZE = 1536
# One transparent pixel.
PNG_BASE64 = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJ"
              "RU5ErkJggg==")
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(413)      # a tag, and one silent frame
CATEGORIES = ("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
              "illicit/violent", "self-harm", "self-harm/intent", "self-harm/instructions", "sexual",
              "sexual/minors", "violence", "violence/graphic")


def models(call: Call) -> Answer:
    """GET /v1/models."""
    dialect = call.request.dialect
    data = [_model(name, dialect) for name in MODELS[dialect]]
    if dialect == "anthropic":
        return _json({"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})
    return _json({"object": "list", "data": data})


def model(call: Call) -> Answer:
    """GET /v1/models/NAME, for any name: every model can be simulated."""
    return _json(_model(call.request.path.removeprefix("/v1/models/"), call.request.dialect))


def _model(name: str, dialect: str) -> dict[str, Any]:
    if dialect == "anthropic":
        return {"type": "model", "id": name, "display_name": name.replace("-", " ").title(),
                "created_at": "2025-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": BORN, "owned_by": "system"}


def embeddings(call: Call) -> Answer:
    """POST /v1/embeddings."""
    body = call.body
    texts = content.prompts(body["input"])
    size = body.get("dimensions") or SIZES.get(body["model"], USUAL_SIZE)
    encoded = body.get("encoding_format") == "base64"
    data = []
    for index, text in enumerate(texts):
        vector = _vector(body["model"], text, size)
        data.append({"object": "embedding", "index": index,
                     "embedding": base64.b64encode(vector).decode() if encoded
                     else struct.unpack(f"<{size}f", vector)})
    sent = sum(map(content.count, texts))
    return _json({"object": "list", "data": data, "model": body["model"],
                  "usage": {"prompt_tokens": sent, "total_tokens": sent}})


def _vector(name: str, text: str, size: int) -> bytes:
    """A unit vector of little-endian floats that depends on the text alone."""
    numbers = array("h", hashlib.shake_256(content.digest(name, text)).digest(2 * size))
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return struct.pack(f"<{size}f", *(number / length for number in numbers))


def moderations(call: Call) -> Answer:
    """POST /v1/moderations: nothing is ever flagged."""
    result = {"flagged": False, "categories": dict.fromkeys(CATEGORIES, False),
              "category_scores": dict.fromkeys(CATEGORIES, 0.0001),
              "category_applied_input_types": {name: ["text"] for name in CATEGORIES}}
    given = call.body["input"]
    many = len(given) if isinstance(given, list) and all(isinstance(text, str) for text in given) else 1
    name = call.body.get("model") or "omni-moderation-latest"
    return _json({"id": unique("modr", call.request), "model": name, "results": [result] * many})


def images(call: Call) -> Answer:
    """POST /v1/images/generations: one pixel, `n` times."""
    return _images(call, call.body.get("n") or 1)


def edits(call: Call) -> Answer:
    """POST /v1/images/edits, whose body is multipart: one pixel."""
    return _images(call, 1)


def _images(call: Call, count: int) -> Answer:
    data = [{"b64_json": PNG_BASE64}] * count
    return _json({"created": int(call.request.at), "data": data, "usage": {
        "input_tokens": 8, "input_tokens_details": {"text_tokens": 8, "image_tokens": 0}, "output_tokens": 16,
        "total_tokens": 24}})


def speech(call: Call) -> Answer:
    """POST /v1/audio/speech: a moment's silence."""
    return Answer(body=MP3, content_type=b"audio/mpeg")


def transcription(call: Call) -> Answer:
    """POST /v1/audio/transcriptions and /translations: says what it was given."""
    request = call.request
    found = [part for part in parts(request.header(b"content-type"), request.body) if part.name == "file"]
    heard = f"{found[0].filename}, {len(found[0].data)} bytes" if found else "nothing"
    return _json({"text": f"You said: {heard}.", "usage": {"type": "duration", "seconds": 1}})


def _json(data: dict[str, Any]) -> Answer:
    return Answer(body=orjson.dumps(data))
